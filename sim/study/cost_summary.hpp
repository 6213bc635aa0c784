// What a served load costs: money and energy per hour, per token, per request, and beside a hosted model's price.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/model_spec.hpp"
#include "study/cost_account.hpp"

namespace moeplan {

/// What a deployment served, per second.
struct ServedLoad {
  double requests_per_s = 0, input_tokens_per_s = 0, output_tokens_per_s = 0;
  double prompt_time_share = 0;  ///< of the engine's time, 0 to 1
};

/// One load at a hosted price, beside what own GPUs cost.
struct HostedBill {
  double usd_per_hour = 0;
  double usd_per_request = 0;            ///< of the served mix of prompts and outputs
  double own_over_api = 0;               ///< own cost per hour / hosted
  double break_even_requests_per_s = 0;  ///< where the hosted bill equals what these GPUs cost
  double break_even_tokens_per_day = 0;  ///< prompts and outputs
  std::optional<double> largest_requests_per_s;  ///< that these GPUs bear; nothing where that is not known
  bool largest_is_bound = false;                 ///< they bear as much at least
  std::string text;                      ///< in words
  /// Whether these GPUs bear the break-even volume; nothing where that is not known.
  [[nodiscard]] std::optional<bool> break_even_served() const;
};
/// What own GPUs bear.
struct LargestLoad {
  double requests_per_s = 0;
  bool is_bound = false;  ///< they may bear more
};
/// REQUIRES: load.requests_per_s > 0.
HostedBill hosted_bill(const ApiPrice& price, double own_usd_per_hour, const ServedLoad& load, const std::optional<LargestLoad>& largest = {});

/// The same under another load than the one that was simulated.
struct HostedAtMean : HostedBill {
  double load_factor = 1;  ///< on the workload's load
  double requests_per_s = 0;
  double own_usd_per_hour = 0;
};

/// The same load at a hosted price.
struct ApiComparison : HostedBill {
  ApiPrice price;
  std::optional<HostedAtMean> at_mean;  ///< only of a plan that is sized for another load than the mean
  std::string pricing_text;  ///< what prices by total and by active parameters mean for this model
};

/// `usd_per_million_*` divide the whole cost by one kind of token. The `split` figures divide the cost between prompts and outputs by the
/// engine's time, as hosted prices do: input tokens x one + output tokens x the other is the whole cost.
struct CostSummary {
  ServedLoad load;  ///< that the figures per token and per request divide by
  double usd_per_gpu_hour = 0, usd_per_hour = 0;
  std::optional<double> usd_per_million_input_tokens, usd_per_million_output_tokens, usd_per_million_total_tokens, usd_per_request;
  double prompt_time_share = 0;
  std::optional<double> split_usd_per_million_input_tokens, split_usd_per_million_output_tokens;
  std::string source;  ///< of the price
  std::vector<CostItem> breakdown;
  std::optional<PowerDraw> power;
  std::optional<double> joules_per_output_token;  ///< drawn by the site
  std::optional<ApiComparison> api;
};

/// Other GPUs that serve the same load: a prefill pool's.
struct CostBeside {
  const CostSpec& spec;
  const ClusterSpec& cluster;
  CostDemand demand;
};

/// Nothing where the scenario states no price. `beside`: null for none; its money and power are added item by item.
std::optional<CostSummary> summarise_cost(const CostSpec& spec, const ClusterSpec& cluster, const CostDemand& demand,
                                          const ServedLoad& load, const ParameterCount& parameters, const CostBeside* beside = nullptr);

/// To the cent, or to two digits where it is less than a few cents.
std::string usd_text(double usd);

/// States the hosted comparison anew, knowing what the GPUs bear.
void know_largest_load(const LargestLoad& largest, CostSummary& cost);

/// Joules that the site draws per output token. Nothing without power or tokens.
std::optional<double> joules_per_token(const std::optional<PowerDraw>& power, double output_tokens_per_s);

}  // namespace moeplan
