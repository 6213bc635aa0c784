// One file format of a request trace. Internal to the trace reader.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "workload/trace_reader.hpp"

namespace moeplan {

class TraceFormat {
 public:
  virtual ~TraceFormat() = default;
  /// Reads the next row; false at the end. Throws InputError with file and line for a malformed row.
  virtual bool next(TraceRow& row) = 0;
  /// "file:line" of the current row.
  [[nodiscard]] virtual std::string where() const = 0;
  /// Rows are to come with their prefix blocks, where the format has them.
  virtual void keep_blocks() {}
};

std::unique_ptr<TraceFormat> open_csv_trace(const std::filesystem::path& file);  ///< ours or Azure's, by the header
std::unique_ptr<TraceFormat> open_mooncake_trace(const std::filesystem::path& file);

/// Nanoseconds since 1970 of "2023-11-16 18:17:03.9799600" (up to nine decimals; a "T", "Z" and "+00:00" are understood). Throws
/// InputError.
std::int64_t parse_timestamp(std::string_view text, std::string_view where);

/// `value` as a token count; throws InputError("`where`: `what` is ...").
std::int32_t checked_tokens(std::int64_t value, std::string_view where, std::string_view what);

/// Refuses a row whose `key` does not name one block for every kMooncakeBlockTokens of its prompt, the last of them perhaps fewer. Throws InputError.
void check_block_count(std::int64_t blocks, std::int32_t prompt_tokens, const std::function<std::string()>& where, std::string_view key);

/// Seconds since the start of a trace; throws InputError when negative, not finite or beyond a century.
SimTime checked_arrival(double seconds, std::string_view where);

}  // namespace moeplan
