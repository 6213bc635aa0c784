#include "study/cost_summary.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace moeplan {

namespace {

constexpr double kSecondsPerDay = 86'400;

std::optional<double> per_million(double usd_per_s, double tokens_per_s) {
  return tokens_per_s > 0 ? std::optional(usd_per_s / tokens_per_s * 1e6) : std::nullopt;
}

std::string count_text(double n) {
  if (n >= 1e9) return fmt::format("{:.2f} billion", n / 1e9);
  return n >= 1e6 ? fmt::format("{:.1f} million", n / 1e6) : fmt::format("{:.0f}", n);
}

/// Hosted prices follow one of two counts; which of them a cost follows is what a MoE changes.
std::string pricing_text(const ParameterCount& parameters, double usd_per_million_output) {
  const double total = parameters.total() / 1e9;
  const double active = parameters.active() / 1e9;
  if (total < 1.01 * active) {
    return fmt::format(
        "dense: all {:.3g} billion parameters work on every token, so prices by total and by active parameters are the same ({:.3g} USD "
        "per "
        "million output tokens and billion parameters)",
        total, usd_per_million_output / total);
  }
  return fmt::format(
      "{:.3g} billion parameters in all decide the VRAM, and so how many GPUs; {:.3g} billion per token decide the arithmetic. The hosted "
      "output price is "
      "{:.3g} USD per million tokens and billion total parameters, {:.3g} per billion active ones: priced by active parameters, the model "
      "counts as a "
      "{:.3g}B dense one; by total parameters, as one of {:.3g}B. Small batches read most experts for few tokens, so that own cost follows "
      "the total; "
      "large batches share each expert, so that it follows the active count",
      total, active, usd_per_million_output / total, usd_per_million_output / active, active, total);
}

/// "own GPUs are 2.3 times cheaper".
std::string cheaper_text(double own_over_api) {
  if (std::abs(own_over_api - 1) < 0.005) return "the same";
  const bool own = own_over_api < 1;
  const char* which = own ? "own GPUs are" : "hosted is";
  const double times = own ? 1 / own_over_api : own_over_api;
  return times < 1.05 ? fmt::format("{} {:.0f} % cheaper", which, (1 - 1 / times) * 100) : fmt::format("{} {:.1f} times cheaper", which, times);
}

std::string rate_text(double per_s) { return per_s < 1000 ? fmt::format("{:.3g}", per_s) : fmt::format("{:.0f}", per_s); }

std::string break_even_text(const HostedBill& bill) {
  const std::string volume = fmt::format("{} requests/s ({} tokens a day)", rate_text(bill.break_even_requests_per_s), count_text(bill.break_even_tokens_per_day));
  const std::optional<bool> served = bill.break_even_served();
  if (served && !*served) {
    return fmt::format("at no volume that these GPUs serve are they even: that takes {1}, and these GPUs bear {0} at most", rate_text(*bill.largest_requests_per_s), volume);
  }
  if (bill.own_over_api < 1) return "they are even at " + volume;
  if (served) return fmt::format("they are even at {}, of {} that these GPUs bear{}", volume, rate_text(*bill.largest_requests_per_s), bill.largest_is_bound ? " at least" : "");
  return fmt::format("they are even at {}, if these GPUs carry as much{}", volume,
                     bill.largest_is_bound ? fmt::format(" (at least {})", rate_text(*bill.largest_requests_per_s)) : "");
}

void add_source(const std::string& more, const std::string& gpu, std::string& source) {
  if (more != source) source += fmt::format("; {}: {}", gpu, more);
}

/// The cost of other GPUs on top of `account`.
void add_beside(const CostBeside& beside, ClusterCost& account) {
  const ClusterCost other = cluster_cost(beside.spec, beside.cluster.gpu, beside.cluster.node, beside.demand);
  const std::string& gpu = beside.cluster.gpu.id;
  if (account.usd_per_hour && other.usd_per_hour) *account.usd_per_hour += *other.usd_per_hour;
  account.gpus_paid += other.gpus_paid;
  for (const CostItem& item : other.items) {
    const auto own = std::find_if(account.items.begin(), account.items.end(), [&](const CostItem& i) { return i.item == item.item; });
    if (own == account.items.end()) {
      account.items.push_back(item);
    } else {
      own->usd_per_hour += item.usd_per_hour;
      add_source(item.source, gpu, own->source);
    }
  }
  if (!account.power || !other.power) {
    account.power.reset();
    return;
  }
  account.power->idle_w += other.power->idle_w;
  account.power->load_w += other.power->load_w;
  account.power->mean_w += other.power->mean_w;
  add_source(other.power->source, gpu, account.power->source);
}

std::string price_source(const CostSpec& spec) { return spec.rental_usd_per_gpu_hour ? spec.rental_source : "owned; price: " + spec.owned->capex_source; }

}  // namespace

std::optional<bool> HostedBill::break_even_served() const {
  if (!largest_requests_per_s) return std::nullopt;
  // Served at the break-even load or beyond it: rounding apart.
  if (break_even_requests_per_s <= *largest_requests_per_s * (1 + 1e-9)) return true;
  return largest_is_bound ? std::nullopt : std::optional(false);
}

HostedBill hosted_bill(const ApiPrice& price, double own_usd_per_hour, const ServedLoad& load, const std::optional<LargestLoad>& largest) {
  HostedBill bill;
  const double per_s =
      (price.input_usd_per_million * load.input_tokens_per_s + price.output_usd_per_million * load.output_tokens_per_s) / 1e6;
  bill.usd_per_hour = per_s * 3600;
  bill.usd_per_request = per_s / load.requests_per_s;
  bill.own_over_api = own_usd_per_hour / bill.usd_per_hour;
  bill.break_even_requests_per_s = load.requests_per_s * bill.own_over_api;
  const double tokens_per_request = (load.input_tokens_per_s + load.output_tokens_per_s) / load.requests_per_s;
  bill.break_even_tokens_per_day = bill.break_even_requests_per_s * tokens_per_request * kSecondsPerDay;
  if (largest) {
    // What is served is borne.
    bill.largest_requests_per_s = std::max(largest->requests_per_s, load.requests_per_s);
    bill.largest_is_bound = largest->is_bound;
  }
  bill.text = fmt::format("at {} requests/s own GPUs cost {:.2f} USD/h, the hosted model {}: {}; {}", rate_text(load.requests_per_s), own_usd_per_hour,
                          usd_text(bill.usd_per_hour), cheaper_text(bill.own_over_api), break_even_text(bill));
  return bill;
}

std::optional<double> joules_per_token(const std::optional<PowerDraw>& power, double output_tokens_per_s) {
  if (!power || !(output_tokens_per_s > 0)) return std::nullopt;
  return power->mean_w * power->pue / output_tokens_per_s;
}

std::optional<CostSummary> summarise_cost(const CostSpec& spec, const ClusterSpec& cluster, const CostDemand& demand,
                                          const ServedLoad& load, const ParameterCount& parameters, const CostBeside* beside) {
  ClusterCost account = cluster_cost(spec, cluster.gpu, cluster.node, demand);
  if (!account.usd_per_hour) return std::nullopt;
  if (beside != nullptr) add_beside(*beside, account);
  CostSummary cost;
  cost.load = load;
  cost.usd_per_hour = *account.usd_per_hour;
  cost.usd_per_gpu_hour = cost.usd_per_hour / account.gpus_paid;
  cost.source = price_source(spec);
  if (beside != nullptr) add_source(price_source(beside->spec), beside->cluster.gpu.id, cost.source);
  cost.breakdown = account.items;
  cost.power = account.power;
  cost.prompt_time_share = load.prompt_time_share;
  const double per_second = cost.usd_per_hour / 3600;
  cost.usd_per_million_input_tokens = per_million(per_second, load.input_tokens_per_s);
  cost.usd_per_million_output_tokens = per_million(per_second, load.output_tokens_per_s);
  cost.usd_per_million_total_tokens = per_million(per_second, load.input_tokens_per_s + load.output_tokens_per_s);
  cost.split_usd_per_million_input_tokens = per_million(per_second * load.prompt_time_share, load.input_tokens_per_s);
  cost.split_usd_per_million_output_tokens = per_million(per_second * (1 - load.prompt_time_share), load.output_tokens_per_s);
  cost.joules_per_output_token = joules_per_token(cost.power, load.output_tokens_per_s);
  if (load.requests_per_s > 0) {
    cost.usd_per_request = per_second / load.requests_per_s;
    if (spec.api) cost.api = ApiComparison{hosted_bill(*spec.api, cost.usd_per_hour, load), *spec.api, {}, pricing_text(parameters, spec.api->output_usd_per_million)};
  }
  return cost;
}

void know_largest_load(const LargestLoad& largest, CostSummary& cost) {
  if (!cost.api) return;
  static_cast<HostedBill&>(*cost.api) = hosted_bill(cost.api->price, cost.usd_per_hour, cost.load, largest);
}

std::string usd_text(double usd) { return usd > 0 && usd < 0.095 ? fmt::format("{:.2g}", usd) : fmt::format("{:.2f}", usd); }

}  // namespace moeplan
