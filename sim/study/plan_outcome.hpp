// What a search finds out about one candidate: the plan it gives, or why it gives none. Travels between processes and into the journal as JSON.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "study/plan_packing.hpp"
#include "study/plan_space.hpp"
#include "study/result.hpp"
#include "study/steady_load.hpp"

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
  std::optional<double> load_w;  ///< serving GPUs busy all the time; nothing where a GPU's power is not known
  std::optional<double> mean_w;  ///< at the utilisation of the run
  std::optional<double> site_w;  ///< that, with what the site draws around it
};
/// Share of the time in steps, by pool.
struct PlanBusy {
  double serving = 0, prefill = 0;
};
/// Of both pools; `busy` 0 bounds the cost from below.
PlanPrice price_plan(const Scenario& scenario, const PlanSize& size, const PlanBusy& busy);

/// A plan under one load: what it serves then, and what that costs.
struct PlanAtLoad {
  double factor = 1;   ///< on the workload's load
  ServedRates served;  ///< in the long run (steady_load.hpp)
  PlanPrice price;
  double utilisation = 0;
  double prefill_utilisation = 0;

  [[nodiscard]] std::optional<double> usd_per_million_output_tokens() const;
  [[nodiscard]] std::optional<double> usd_per_million_input_tokens() const;
  [[nodiscard]] std::optional<double> usd_per_request() const;
  [[nodiscard]] std::optional<double> joules_per_output_token() const;
  /// The bill of a hosted model for the same tokens.
  [[nodiscard]] double hosted_usd_per_hour(const ApiPrice& api) const;
};

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
  double factor = 1;               ///< of the load it is sized for, on the workload's
  ServedRates served;              ///< of that load, in the long run
  std::optional<PlanAtLoad> at_mean;  ///< all replicas up, at the mean load of the period; nothing for a batch

  /// At the load it is sized for.
  [[nodiscard]] PlanAtLoad as_sized() const { return {factor, served, price, utilisation, prefill_utilisation}; }
  /// Whether the mean of the period is another load, or is borne by more replicas.
  [[nodiscard]] bool mean_differs() const { return at_mean && (at_mean->factor != factor || size.spare + size.prefill.spare > 0); }
};

struct CandidateOutcome {
  Rejection rejection = Rejection::kNone;
  std::string reason;  ///< one line
  std::string key;     ///< of the objective or limit that decides, where one does
  double miss = 0;     ///< how many times what is allowed it came to, where that is known: of two rejected for the same kind of reason the lower came further
  std::optional<PlanFigures> plan;

  [[nodiscard]] std::string to_text() const;
  static CandidateOutcome from_text(const std::string& text);
};

CandidateOutcome rejected(Rejection rejection, std::string reason, std::string key = {}, double miss = 0);

/// "3 replicas (12 GPUs)", "2 prefill and 3 decode replicas (24 GPUs)": those that serve, and all GPUs.
std::string replicas_text(const PlanSize& size);

}  // namespace moeplan
