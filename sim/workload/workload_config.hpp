// What clients do, as plain data: when requests arrive, how long they are, how many there are. A scenario's `workload` object parses into
// this (parse_workload.hpp), `validate` fills it by hand, make_request_source turns it into requests.
//
// Left out on purpose: conversations (a later turn that waits for the earlier answer) and client cancellations.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.hpp"

namespace moeplan {

/// Longest prompt or output that is accepted, in tokens.
inline constexpr std::int32_t kMaxTokens = 100'000'000;

enum class LengthKind : std::uint8_t { kFixed, kUniform, kLognormal, kEmpirical, kTrace };
std::string_view to_string(LengthKind kind);

/// `weight` of the requests (any positive unit) have `tokens` tokens.
struct LengthBin {
  std::int32_t tokens = 0;
  double weight = 1;
};

/// A distribution of token counts. Fields that a kind does not name are unused.
struct LengthConfig {
  LengthKind kind = LengthKind::kFixed;
  std::int32_t value = 1;         ///< fixed
  std::int32_t low = 1;           ///< uniform, lognormal (clamped): least
  std::int32_t high = 1;          ///< uniform, lognormal (clamped): most
  double median = 0;              ///< lognormal: exp(mu), tokens
  double sigma = 0;               ///< lognormal: of the logarithm
  std::vector<LengthBin> bins{};  ///< empirical
  /// Empirical: where the bins come from, empty when inline. Trace: the file whose lengths are taken row by row, over and over; empty means
  /// the row of the arrivals' trace.
  std::filesystem::path file{};

  static LengthConfig fixed(std::int32_t tokens);
  static LengthConfig uniform(std::int32_t low, std::int32_t high);
  static LengthConfig lognormal(double median, double sigma, std::int32_t low = 1, std::int32_t high = kMaxTokens);
  static LengthConfig empirical(std::vector<LengthBin> bins);
  /// The lengths of the arrivals' trace.
  static LengthConfig from_trace(std::filesystem::path file = {});
};

enum class ArrivalProcess : std::uint8_t { kPoisson, kGamma, kClosed, kBatch, kTrace };
std::string_view to_string(ArrivalProcess process);

/// What one pass over a trace finds. Times as written in the file (Azure: since its first row).
struct TraceSummary {
  std::uint64_t rows = 0;
  SimTime first{0};
  SimTime last{0};
  std::vector<std::string> classes{};  ///< names in order of appearance; empty without a class column
  std::int32_t longest_prompt = 0;
  std::int32_t longest_output = 0;
  std::uint32_t largest_block = 0;  ///< number of a recorded prefix block
};

struct ArrivalConfig {
  ArrivalProcess process = ArrivalProcess::kPoisson;
  double rate = 0;                       ///< poisson, gamma: requests per second
  double cv = 1;                         ///< gamma: standard deviation / mean of the gaps; 1 is Poisson, more is burstier
  std::int32_t concurrency = 0;          ///< closed: requests in flight
  SimTime turnaround{1'000'000};         ///< closed: from a completion to the request it causes
  std::filesystem::path file{};          ///< trace
  double speedup = 1;                    ///< trace: recorded gaps are divided by this
  bool repeat = false;                   ///< trace: starts over when it ends
  bool prompt_blocks = false;            ///< trace: requests carry trace_blocks where it recorded them; costs memory, so only for who asks
  std::vector<double> hourly_factors{};  ///< poisson, gamma, trace: empty, or 24 factors on the rate, by hour of simulated time
  std::optional<TraceSummary> trace{};   ///< trace: filled by resolve_workload
};

/// A kind of request: `weight` of them have these lengths.
struct WorkloadClass {
  std::string name = "default";
  double weight = 1;
  LengthConfig prompt_tokens{};
  LengthConfig output_tokens{};
  std::int32_t priority = 0;
};

struct WorkloadConfig {
  ArrivalConfig arrivals{};
  std::vector<WorkloadClass> classes{};  ///< at least one; a trace with a class column picks by name, all else by weight
  std::uint64_t requests = 0;            ///< issued in all; 0 with a trace: all its rows
  std::uint64_t warmup_requests = 0;     ///< the first so many are left out of the statistics
};

/// Checks the numbers, scans the trace once (so that a broken row is found before anything runs), and fills `requests`,
/// `arrivals.trace` and the classes a trace names. Throws InputError(`where`, ...).
void resolve_workload(WorkloadConfig& config, std::string_view where = "workload");

}  // namespace moeplan
