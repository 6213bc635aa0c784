// Where a result goes as a page: --html FILE, the same for every command that has one.
#pragma once

#include <memory>
#include <string>

#include "cli/command.hpp"

namespace moeplan::cli {

/// Adds --html to the options of a command.
void add_page_option(boost::program_options::options_description& options);

/// The page of --html; the file is opened at once, so that a target that cannot be written is refused before the work.
class PageOutput {
 public:
  explicit PageOutput(const ParsedOptions& options);
  ~PageOutput();
  PageOutput(const PageOutput&) = delete;
  PageOutput& operator=(const PageOutput&) = delete;
  [[nodiscard]] bool wanted() const { return file_ != nullptr; }
  /// Writes the page of a result that `--json` would write.
  void write(const std::string& json);

 private:
  std::unique_ptr<AtomicFile> file_;
};

}  // namespace moeplan::cli
