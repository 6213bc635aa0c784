// What clients do, as plain data: when requests arrive, how long they are, how many there are. A scenario's `workload` object parses into
// this (parse_workload.hpp), `validate` fills it by hand, make_request_source turns it into requests.
//
// Left out on purpose: client cancellations.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.hpp"

namespace moeplan {

struct RecordedLengths;

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
  /// Empirical: where the bins come from, empty when inline. Trace: the file whose rows are dealt in a random order (recorded_lengths.hpp); empty, or the
  /// file of the arrivals, means the row that arrives.
  std::filesystem::path file{};
  /// Trace: rows of `file`, filled by resolve_workload; null where the arrivals give the row. A prompt and an output of one file share them.
  std::shared_ptr<const RecordedLengths> recorded{};

  static LengthConfig fixed(std::int32_t tokens);
  static LengthConfig uniform(std::int32_t low, std::int32_t high);
  static LengthConfig lognormal(double median, double sigma, std::int32_t low = 1, std::int32_t high = kMaxTokens);
  static LengthConfig empirical(std::vector<LengthBin> bins);
  /// The lengths of the arrivals' trace.
  static LengthConfig from_trace(std::filesystem::path file = {});
};

/// What a client that a full queue turned away waits unless told otherwise: client libraries back off for 0.5 s to 8 s.
inline constexpr SimTime kRetryAfter{1'000'000'000};

enum class ArrivalProcess : std::uint8_t { kPoisson, kGamma, kMarkovModulated, kClosed, kBatch, kTrace };
std::string_view to_string(ArrivalProcess process);

/// What one pass over a trace finds. Times as written in the file (Azure: since its first row).
struct TraceSummary {
  std::uint64_t rows = 0;
  SimTime first{0};
  SimTime last{0};
  std::vector<std::string> classes{};  ///< names in order of appearance; empty without a class column
  std::int32_t longest_prompt = 0;
  std::int32_t longest_output = 0;
  std::int64_t longest_request = 0;  ///< prompt and output together
  std::uint32_t largest_block = 0;  ///< number of a recorded prefix block
  double mean_prompt = 0;
  double mean_output = 0;
};

/// Traffic of one intensity, which lasts an exponential time.
struct RateState {
  double rate = 0;          ///< requests per second; 0: silence
  double mean_seconds = 1;  ///< that it lasts
};

struct ArrivalConfig {
  ArrivalProcess process = ArrivalProcess::kPoisson;
  double rate = 0;                       ///< poisson, gamma: requests per second
  double cv = 1;                         ///< gamma: standard deviation / mean of the gaps; 1 is Poisson, more is burstier
  std::vector<RateState> states{};       ///< markov_modulated: visited in turn, Poisson arrivals within each
  std::int32_t concurrency = 0;          ///< closed: requests in flight
  SimTime turnaround{1'000'000};         ///< closed: from a completion to the request it causes
  SimTime retry_after = kRetryAfter;     ///< closed: from a full queue to the next attempt with the same request
  std::filesystem::path file{};          ///< trace
  double speedup = 1;                    ///< trace: recorded gaps are divided by this
  double copies = 1;                     ///< trace: each row is issued so often on average, at times up to a minute apart
  bool repeat = false;                   ///< trace: starts over when it ends
  bool prompt_blocks = false;            ///< trace: requests carry trace_blocks where it recorded them; costs memory, so only for who asks
  std::vector<double> hourly_factors{};  ///< poisson, gamma, trace: empty, or 24 factors on the rate, by hour of simulated time
  std::optional<TraceSummary> trace{};   ///< trace: filled by resolve_workload
};

/// Beginnings that requests of a class share: system prompts, tool descriptions, few-shot examples.
struct PrefixConfig {
  std::int32_t tokens = 0;  ///< 0: none. They come before the class's own prompt tokens
  std::int32_t count = 1;   ///< different ones
  double zipf = 0;          ///< the r-th is used in proportion to r^-zipf
};

/// Conversations: a request is the first turn; each later one sends all that was said before and something new, some time after the answer.
struct SessionConfig {
  bool on = false;
  LengthConfig turns{};          ///< of a session, at least 1
  double think_seconds = 0;      ///< mean of the exponential time from an answer's last token to the next turn
  std::int32_t max_context = 0;  ///< a session ends before a turn whose prompt would be longer; 0: any
  SimTime retry_after = kRetryAfter;  ///< from a full queue to the next attempt with the same turn
};

/// A kind of request: `weight` of them have these lengths.
struct WorkloadClass {
  std::string name = "default";
  double weight = 1;
  LengthConfig prompt_tokens{};
  LengthConfig output_tokens{};
  std::int32_t priority = 0;
  PrefixConfig prefix{};
  SessionConfig sessions{};
  std::optional<ArrivalConfig> arrivals{};  ///< its own; `weight` then counts nothing
};

struct WorkloadConfig {
  ArrivalConfig arrivals{};
  std::vector<WorkloadClass> classes{};  ///< at least one; a trace with a class column picks by name, all else by weight
  std::uint64_t requests = 0;            ///< issued in all; 0 with a trace: all its rows
  std::uint64_t warmup_requests = 0;     ///< the first so many are left out of the statistics
};

/// Mean requests (sessions, where there are any) per second; 0 for closed and batch arrivals. REQUIRES: resolved.
double mean_rate(const ArrivalConfig& arrivals);

/// What requests of a class look like on average.
struct ClassMeans {
  double request_share = 0;  ///< of all requests
  double prompt_tokens = 0;  ///< prefix and earlier turns included
  double output_tokens = 0;
};

/// Of each class; lengths from a trace are its mean. REQUIRES: resolved. An estimate: clamps of sessions by max_context are left out.
std::vector<ClassMeans> class_means(const WorkloadConfig& config);

/// The same requests without order: classes come by their share of all requests, a later turn is a prompt of the class's mean length.
WorkloadConfig without_conversations(WorkloadConfig config);

/// Whether a class has arrivals of its own or holds conversations.
bool mixes(const WorkloadConfig& config);

/// Requests per second over all classes, turns of sessions included; 0 where the load is closed or a batch.
double request_rate(const WorkloadConfig& config);

/// Rates, clients and the speed of a trace times `factor`; as many requests as before.
void scale_rates(WorkloadConfig& config, double factor);

/// `factor` times as many requests in the same time: rates, clients and batches grow, a trace's rows are issued so often. For a measured day
/// projected to next year. Throws InputError(`where`) unless 1e-3 <= factor <= 1e4.
void scale_workload(WorkloadConfig& config, double factor, std::string_view where);

/// Checks the numbers, reads the traces once (so that a broken row is found before anything runs), and fills `requests`,
/// `arrivals.trace`, recorded lengths and the classes a trace names. Throws InputError(`where`, ...).
void resolve_workload(WorkloadConfig& config, std::string_view where = "workload");

}  // namespace moeplan
