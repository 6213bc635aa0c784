// Request traces, one row in memory at a time. Three formats, told apart by their first line: our own CSV
// (arrival_s,prompt_tokens,output_tokens[,class,prefix_id,prefix_tokens,prefix_blocks]), Azure's CSV (TIMESTAMP,ContextTokens,GeneratedTokens) and
// Mooncake's JSONL (timestamp in ms, input_length, output_length, hash_ids).
//
// Refused with file and line: malformed rows, arrivals out of order, token counts below 1. Azure's time zero is its first row.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/units.hpp"
#include "workload/workload_config.hpp"

namespace moeplan {

/// Prompt tokens that one hash id of a Mooncake trace stands for.
inline constexpr std::int32_t kMooncakeBlockTokens = 512;

struct TraceRow {
  SimTime arrival{0};
  std::int32_t prompt_tokens = 0;
  std::int32_t output_tokens = 0;
  std::string class_name{};        ///< empty without a class column
  std::int64_t prefix_id = -1;     ///< -1: shares no prefix; equal ids mean the same first `prefix_tokens` tokens
  std::int32_t prefix_tokens = 0;  ///< at most prompt_tokens
  std::uint32_t largest_block = 0;
  std::vector<std::uint32_t> blocks{};  ///< hash_ids of Mooncake (prefix_blocks of our CSV), after keep_blocks(): one per kMooncakeBlockTokens prompt tokens, the last of them may be fewer
};

class TraceFormat;

class TraceReader {
 public:
  /// Opens the file and recognises its format. Throws InputError when unreadable, empty or of no known format.
  explicit TraceReader(const std::filesystem::path& file);
  ~TraceReader();
  TraceReader(TraceReader&&) noexcept;
  TraceReader& operator=(TraceReader&&) noexcept;

  /// Reads the next row into `row`; false at the end. Throws InputError("file:line", ...).
  bool next(TraceRow& row);
  /// "file:line" of the current row.
  [[nodiscard]] std::string where() const;
  /// From now on rows come with their blocks.
  void keep_blocks();

 private:
  std::unique_ptr<TraceFormat> format_;
  SimTime last_{0};
};

/// One pass over the whole trace; throws InputError for any bad row and when it has no rows.
TraceSummary scan_trace(const std::filesystem::path& file);

}  // namespace moeplan
