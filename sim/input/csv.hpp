// CSV with a header line, read row by row with line numbers. Quoted fields, CRLF and a byte-order mark are understood.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moeplan {

/// Streams rows; memory is one row. All failures are InputError "file:line: ...".
class CsvReader {
 public:
  /// Opens `file` and reads its header. Throws when unreadable or without a header.
  explicit CsvReader(const std::filesystem::path& file);
  ~CsvReader();
  CsvReader(CsvReader&&) noexcept;
  CsvReader& operator=(CsvReader&&) noexcept;

  [[nodiscard]] const std::vector<std::string>& header() const;
  /// Index of a column; throws naming the nearest column when missing.
  [[nodiscard]] std::size_t column(std::string_view name) const;
  [[nodiscard]] std::optional<std::size_t> find_column(std::string_view name) const;
  /// Advances to the next non-empty row; false at the end. Throws when the number of fields differs from the header's.
  bool next();
  [[nodiscard]] std::string_view text(std::size_t column) const;  ///< empty when the field is empty
  [[nodiscard]] bool empty(std::size_t column) const { return text(column).empty(); }
  [[nodiscard]] double number(std::size_t column) const;          ///< finite number, or throws
  [[nodiscard]] std::int64_t integer(std::size_t column) const;
  [[nodiscard]] std::size_t line() const;                         ///< of the current row
  [[nodiscard]] std::string where() const;                        ///< "file:line"
  [[noreturn]] void fail(std::string_view what) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moeplan
