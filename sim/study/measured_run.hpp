// Published measurements of whole serving systems, one operating point per row (format: README of scenarios/measured_runs).
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moeplan {

/// How the load was applied: a closed loop of `concurrency` clients, everything queued at time 0, or Poisson arrivals.
enum class LoadMode : unsigned char { kClosed, kOffline, kOpen };
std::string_view to_string(LoadMode mode);

/// A: fully stated, B: one field inferred, S: suspect (predicted and listed, never scored).
enum class RunQuality : unsigned char { kA, kB, kS };

/// What is compared.
enum class RunMetric : unsigned char { kTpot, kTtft, kItl, kOutputTokensPerSecond };
inline constexpr std::array kRunMetrics = {RunMetric::kTpot, RunMetric::kTtft, RunMetric::kItl, RunMetric::kOutputTokensPerSecond};
std::string_view to_string(RunMetric metric);

struct MeasuredRun {
  std::string id, suite, model, gpu, engine, engine_version;
  int gpus = 1, tp = 1, ep = 1, pp = 1, dp = 1;
  bool states_split = true;  ///< ep, dp or both are stated; 1 where empty
  std::string weights, kv_cache;
  LoadMode mode = LoadMode::kClosed;
  int concurrency = 0;
  double request_rate_per_s = 0;
  int isl = 0, osl = 0;
  double length_low = 1;  ///< lengths are uniform in [length_low, 1] x isl / osl
  /// Measured means by RunMetric, in milliseconds (tokens per second for the throughput); empty where not published.
  std::array<std::optional<double>, kRunMetrics.size()> measured;
  RunQuality quality = RunQuality::kA;
  std::string notes;  ///< of a suspect run: why
  std::size_t line = 0;

  [[nodiscard]] std::optional<double> value(RunMetric metric) const { return measured[static_cast<std::size_t>(metric)]; }
  /// Rows of one layout share a deployment: model, GPU, engine and version, parallel widths, weights, KV format; offline, where the engine is sized
  /// for its load, lengths as well.
  [[nodiscard]] std::string layout_key() const;
  /// Rows of one anchor key are corrected together: the layout without its KV format.
  [[nodiscard]] std::string anchor_key() const;
};

/// Reads a table of measured runs. Throws InputError naming file and line.
std::vector<MeasuredRun> read_measured_runs(const std::filesystem::path& file);

}  // namespace moeplan
