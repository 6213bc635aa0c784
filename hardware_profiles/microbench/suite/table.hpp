// One table of results: NAME.csv in the output folder. Rows are appended and flushed one by one, so that an interrupted run keeps what it has;
// opened again, the table knows its rows.
#pragma once

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include "suite/operation.hpp"
#include "suite/statistics.hpp"

namespace moeplan::bench {

class Table {
 public:
  /// Opens or creates `folder`/NAME.csv; a last line that an interruption cut short is dropped. Throws InputError when the file is another table.
  Table(const std::filesystem::path& folder, Op op);

  [[nodiscard]] bool has(const Case& c) const { return fastest_.contains(c.key()); }
  void append(const Case& c, const Summary& summary, const std::string& framework, const std::string& mark);

  /// Seconds of the fastest sample of every row.
  [[nodiscard]] const std::map<std::string, double>& fastest() const { return fastest_; }
  /// The cases of the rows, in file order.
  [[nodiscard]] const std::vector<Case>& cases() const { return cases_; }
  /// Frameworks met, in order of appearance.
  [[nodiscard]] const std::vector<std::string>& frameworks() const { return frameworks_; }
  [[nodiscard]] int unsteady() const { return unsteady_; }

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void read(const std::filesystem::path& file);
  void remember(const Case& c, double fastest, const std::string& framework, const std::string& mark);

  Op op_;
  std::string where_;
  std::unique_ptr<std::FILE, Closer> file_;
  std::map<std::string, double> fastest_;
  std::vector<Case> cases_;
  std::vector<std::string> frameworks_;
  int unsteady_ = 0;
};

/// The header line of an operation's table.
std::string header_of(Op op);

}  // namespace moeplan::bench
