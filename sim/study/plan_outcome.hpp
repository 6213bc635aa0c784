// What a search finds out about one candidate: the plan it gives, or why it gives none. Travels between processes and into the journal as JSON.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "study/plan_load.hpp"
#include "study/plan_space.hpp"
#include "study/result.hpp"

namespace moeplan {

/// Why a candidate is no plan, or not the one to buy.
enum class Rejection : std::uint8_t {
  kNone,
  kLayout,      ///< the model cannot be cut like that
  kSupport,     ///< the engine does not run it
  kMemory,      ///< does not fit
  kPrice,       ///< no price is known
  kBound,       ///< an objective is out of reach at any size
  kLimit,       ///< budget, power, racks or GPUs
  kCostBound,   ///< dearer than what is known to do, before any simulation
  kObjective,   ///< an objective is missed at the largest size that is of interest
  kSaturated,   ///< the load is not carried at that size
  kDearer,      ///< a plan, but beaten
  kUnfinished,  ///< the time budget ended first
};
inline constexpr int kRejections = 12;
/// "memory", "engine support", ...
std::string_view to_string(Rejection rejection);

/// Money and power of a plan, as cost_account.hpp has them.
struct PlanPrice {
  double usd_per_hour = 0;
  double load_w = 0;  ///< serving GPUs busy all the time
  double mean_w = 0;  ///< at the utilisation of the run
};
/// Share of the time in steps, by pool.
struct PlanBusy {
  double serving = 0, prefill = 0;
};
/// Of both pools; `busy` 0 bounds the cost from below.
PlanPrice price_plan(const Scenario& scenario, const PlanSize& size, const PlanBusy& busy);

/// A plan: how many replicas of a candidate, and what they do under the load they are sized for, spares down.
struct PlanFigures {
  PlanSize size;
  PlanPrice price;
  std::uint64_t requests = 0;  ///< simulated
  bool short_window = false;
  std::array<LatencySummary, kLatencyMetrics.size()> latency{};
  ThroughputSummary throughput;
  double utilisation = 0;
  double prefill_utilisation = 0;  ///< of the prefill pool; `utilisation` is then that of the decode pool
  std::vector<double> objectives;  ///< values, in the order of the scenario's

  [[nodiscard]] std::optional<double> usd_per_million_output_tokens() const;
};

struct CandidateOutcome {
  Rejection rejection = Rejection::kNone;
  std::string reason;  ///< one line
  std::string key;     ///< of the objective or limit that decides, where one does
  std::optional<PlanFigures> plan;

  [[nodiscard]] std::string to_text() const;
  static CandidateOutcome from_text(const std::string& text);
};

CandidateOutcome rejected(Rejection rejection, std::string reason, std::string key = {});

/// "3 replicas (12 GPUs)", "2 prefill and 3 decode replicas (24 GPUs)": those that serve, and all GPUs.
std::string replicas_text(const PlanSize& size);

}  // namespace moeplan
