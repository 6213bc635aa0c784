#include "study/likely_cause.hpp"

#include <fmt/core.h>

#include <cctype>
#include <cmath>
#include <cstdlib>

namespace moeplan {

namespace {

/// Shares from which a piece of evidence can carry a large error.
constexpr double kMuch = 0.3;
constexpr double kFull = 0.97;
/// Speculative decoding makes published TPOT half to three quarters of what plain decoding takes.
constexpr double kSpeculation = 1.25;
/// Clients from which the first burst counts, and the factor beyond which no burst explains a wait.
constexpr int kBurst = 8;
constexpr double kWaiting = 5;
constexpr double kCrowded = 1.3;  // clients per running request from which limits on the batch count
/// Decode steps by which a first token comes late where tokens are streamed in groups.
constexpr double kGroup = 4;
constexpr double kLargestGroup = 25;

double origin(const RunEvidence& e, Origin o) { return e.origin_share[static_cast<std::size_t>(o)]; }

std::string percent(double share) { return fmt::format("{:.0f} %", share * 100); }

bool older(const MeasuredRun& run, const RunSetting& setting) {
  const double ran = first_version(run.engine_version), oldest = first_version(setting.engine_versions);
  return ran >= 0 && oldest >= 0 && ran < oldest - 1e-9;
}

std::string step_cause(const MeasuredRun& run, double measured, double predicted, const RunEvidence& e, const RunSetting& s) {
  const double weak = origin(e, Origin::kTransferred) + origin(e, Origin::kExtrapolated) + origin(e, Origin::kDatasheet);
  const bool faster = predicted > measured;
  if (faster && s.mtp_head && predicted / measured > kSpeculation) {
    return fmt::format("measured {:.1f} x faster than plain decoding is predicted, and the checkpoint has a multi-token head: speculative decoding that the run does not state is suspected",
                       predicted / measured);
  }
  if (older(run, s)) return fmt::format("engine {} is older than the versions that its profile and kernels stand for ({})", run.engine_version, s.engine_versions);
  if (s.moe && !s.experts_measured && e.part(StepPart::kExperts) > kMuch) {
    return fmt::format("no {} expert kernel was measured on this GPU; others stand in for {} of the time", s.experts_format, percent(e.part(StepPart::kExperts)));
  }
  if (!s.products_measured && e.products() > kMuch) {
    return fmt::format("no {} matrix product was measured on this GPU; others stand in for {} of the time", s.weights_format, percent(e.products()));
  }
  if (e.kv_peak > kFull) {
    return fmt::format("the KV cache is full with {:.0f} running requests: what the engine leaves for it{} decides", e.mean_running,
                       s.kv_stated ? "" : ", and its format, which the run does not state,");
  }
  if (weak > kMuch) return fmt::format("{} of the kernel time is transferred, extrapolated or from the datasheet", percent(weak));
  if (e.communication() > kMuch) return fmt::format("communication is {} of the time: links or all-reduce kernels of that machine", percent(e.communication()));
  if (e.part(StepPart::kHost) > kMuch) return fmt::format("host time is {} of a step: processor and engine version", percent(e.part(StepPart::kHost)));
  if (e.prefill_share > kMuch) return fmt::format("steps with prefill are {} of the time: how the engine mixes prompts into decoding", percent(e.prefill_share));
  return {};
}

std::string first_token_cause(const MeasuredRun& run, double measured, double predicted, const RunEvidence& e) {
  if (e.kv_peak > kFull) return fmt::format("the KV cache is full with {:.0f} running requests: how many wait for room, and how long, decides", e.mean_running);
  if (run.mode == LoadMode::kClosed && predicted > measured && run.concurrency > kCrowded * e.mean_running) {
    return fmt::format("in the simulation only {:.0f} of {} clients run at once: the batch limit of the engine, which the run may have raised", e.mean_running, run.concurrency);
  }
  if (measured > kWaiting * predicted && run.concurrency >= kBurst) {
    return fmt::format("measured {:.0f} x what the prompts of {} clients need: the engine let fewer run at once than its default limits allow", measured / predicted,
                       run.concurrency);
  }
  const auto tpot = run.value(RunMetric::kTpot);
  if (run.engine == "trtllm" && tpot && measured - predicted > kGroup * *tpot && measured - predicted < kLargestGroup * *tpot) {
    return fmt::format("measured later by {:.0f} decode steps: tokens streamed in groups (stream interval), which the run does not state, or prompts that wait for each other",
                       (measured - predicted) / *tpot);
  }
  const double path = e.request_latency_s * 1e3 / predicted;
  if (path > kMuch) return fmt::format("the path between client and engine is {} of the predicted time", percent(std::min(1.0, path)));
  if (run.mode == LoadMode::kClosed && run.concurrency >= kBurst) {
    return fmt::format("queueing of prompts: {} clients start at once, and the mean counts that burst", run.concurrency);
  }
  return {};
}

}  // namespace

double first_version(const std::string& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!std::isdigit(static_cast<unsigned char>(text[i]))) continue;
    std::size_t end = i;
    while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end]))) ++end;
    if (end + 1 >= text.size() || text[end] != '.' || !std::isdigit(static_cast<unsigned char>(text[end + 1]))) {
      i = end;
      continue;
    }
    // 0.9 comes before 0.19: the minor version is a number of its own.
    return std::atof(text.substr(i, end - i).c_str()) + std::atoi(text.c_str() + end + 1) / 1000.0;
  }
  return -1;
}

std::string likely_cause(const MeasuredRun& run, RunMetric metric, double measured, double predicted, const RunEvidence& evidence, const RunSetting& setting) {
  std::string cause = metric == RunMetric::kTtft ? first_token_cause(run, measured, predicted, evidence) : std::string();
  const bool speed = metric == RunMetric::kOutputTokensPerSecond;
  if (cause.empty()) cause = step_cause(run, speed ? predicted : measured, speed ? measured : predicted, evidence, setting);
  if (cause.empty() && run.quality == RunQuality::kB) cause = "one field of the run was inferred, not stated";
  return cause.empty() ? "no single part stands out: kernels measured, memory free, little host time" : cause;
}

}  // namespace moeplan
