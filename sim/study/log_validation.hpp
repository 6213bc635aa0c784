// A request log of a real engine, replayed: same arrivals and lengths on the deployment of a scenario, latencies compared as distributions.
// A log is a CSV with a header id,arrival_s,scheduled_s,first_token_s,last_token_s,prompt_tokens,output_tokens, seconds since any origin, in order of
// arrival. Its times are the engine's own, so the path to the client (EngineProfile::request_latency) is left out of the prediction.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "study/scenario.hpp"

namespace moeplan {

struct LoggedRequest {
  double arrival_s = 0, scheduled_s = 0, first_token_s = 0, last_token_s = 0;
  int prompt_tokens = 0, output_tokens = 0;
};

/// Whether the file's header is that of a request log. Throws InputError when it cannot be read.
bool is_request_log(const std::filesystem::path& file);

/// Throws InputError naming file and line: missing columns, token counts below 1, times that run backwards, arrivals out of order.
std::vector<LoggedRequest> read_request_log(const std::filesystem::path& file);

enum class LogMetric : unsigned char { kTtft, kTpot, kE2e };
inline constexpr std::array kLogMetrics = {LogMetric::kTtft, LogMetric::kTpot, LogMetric::kE2e};
std::string_view to_string(LogMetric metric);

/// Mean and nearest-rank percentiles, seconds.
struct LogStatistics {
  std::size_t count = 0;
  double mean = 0, p50 = 0, p90 = 0;
};

/// Requests in the engine (scheduled, not finished) and waiting at one instant, and output tokens of the requests finished by then.
struct LogInstant {
  double at_s = 0;
  std::size_t running = 0, waiting = 0;
  std::int64_t finished_tokens = 0;
};

struct LogSummary {
  std::array<LogStatistics, kLogMetrics.size()> latency;
  double makespan_s = 0;  ///< first arrival to last token
  std::size_t requests = 0;
  std::int64_t output_tokens = 0;
  std::vector<LogInstant> timeline;
};

struct LogValidation {
  std::string log, scenario;
  std::int64_t kv_capacity_tokens = 0;
  int kv_block_tokens = 16;
  std::uint64_t preempted = 0, rejected = 0;  ///< in the replay
  LogSummary measured, predicted;
};

/// Statistics of a log; the timeline has instants at the twelfths of `span_s`.
LogSummary summarise_log(const std::vector<LoggedRequest>& requests, double span_s);

/// Replays the log through the scenario's deployment (its workload is not looked at). Throws InputError when the model does not fit.
LogValidation validate_log(const std::filesystem::path& log, const Scenario& scenario);

/// The JSON and the text of `moeplan validate LOG.csv --scenario SCENARIO.json`.
std::string log_validation_json(const LogValidation& validation);
std::string log_validation_summary(const LogValidation& validation);

}  // namespace moeplan
