// What the suite measures: operations, the columns that describe a case of each, and the work a case contains. The same for every backend;
// names and columns are those of the tables that `moeplan calibrate` reads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moeplan::bench {

enum class Op : std::uint8_t { kCopy, kLaunch, kGemm, kMoe, kRouter, kAttentionDecode, kMlaDecode, kAttentionPrefill, kCollective, kElementwise };

struct OpInfo {
  Op op;
  const char* name;                      ///< also of the table: NAME.csv
  std::vector<std::string_view> columns; ///< of a case, number formats last
  const char* text;                      ///< one line for --list
};

/// All operations, in the order in which they run.
const std::vector<OpInfo>& operations();
const OpInfo& info(Op op);
/// "gemm,moe" -> operations in the order of operations(). Throws InputError for an unknown name.
std::vector<Op> parse_operations(const std::string& names);

/// One shape of one operation: a value per column.
struct Case {
  Op op;
  std::vector<std::string> values;

  [[nodiscard]] const std::string& text(std::string_view column) const;
  [[nodiscard]] std::int64_t integer(std::string_view column) const;
  [[nodiscard]] double number(std::string_view column) const;
  /// The values joined by commas: a row's beginning, and what makes it the same row when a run is resumed.
  [[nodiscard]] std::string key() const;
};

/// Bytes that must move between memory and the processor when nothing is cached, and useful floating-point operations.
struct Workload {
  double bytes = 0;
  double flops = 0;
};
Workload work_of(const Case& c);

/// Bytes of one element of a number format; block scales are counted for nvfp4 (16) and mxfp4 (32).
double element_bytes(const std::string& format);

}  // namespace moeplan::bench
