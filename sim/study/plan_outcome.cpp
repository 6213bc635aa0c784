#include "study/plan_outcome.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "study/cost_account.hpp"
#include "study/plan_words.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

json latency_array(const LatencySummary& l) { return {l.count, l.mean, l.p50, l.p90, l.p95, l.p99, l.max}; }

LatencySummary latency_from(const json& j) {
  return {j[0].get<std::uint64_t>(), j[1].get<double>(), j[2].get<double>(), j[3].get<double>(), j[4].get<double>(), j[5].get<double>(), j[6].get<double>()};
}

json size_array(const PoolSize& s) { return {s.serving, s.spare, s.nodes, s.gpus, s.spare_gpus}; }

PoolSize size_from(const json& j) { return {j[0].get<int>(), j[1].get<int>(), j[2].get<int>(), j[3].get<int>(), j[4].get<int>()}; }

json served_array(const ServedRates& r) { return {r.requests, r.input_tokens, r.output_tokens}; }

ServedRates served_from(const json& j) { return {j[0].get<double>(), j[1].get<double>(), j[2].get<double>()}; }

json price_array(const PlanPrice& p) {
  json out = {p.usd_per_hour};
  for (const auto& watts : {p.load_w, p.mean_w, p.site_w}) out.push_back(watts ? json(*watts) : json());
  return out;
}

PlanPrice price_from(const json& j) {
  const auto watts = [&](std::size_t i) { return j[i].is_null() ? std::nullopt : std::optional(j[i].get<double>()); };
  return {j[0].get<double>(), watts(1), watts(2), watts(3)};
}

json at_load_json(const PlanAtLoad& at) { return {at.factor, served_array(at.served), price_array(at.price), at.utilisation, at.prefill_utilisation}; }

PlanAtLoad at_load_from(const json& j) {
  return {j[0].get<double>(), served_from(j[1]), price_from(j[2]), j[3].get<double>(), j[4].get<double>()};
}

json plan_to_json(const PlanFigures& p) {
  json out;
  out["size"] = size_array(p.size);
  if (p.size.pools()) {
    out["prefill"] = size_array(p.size.prefill);
    out["prefill_utilisation"] = p.prefill_utilisation;
  }
  out["price"] = price_array(p.price);
  out["factor"] = p.factor;
  out["served"] = served_array(p.served);
  if (p.at_mean) out["at_mean"] = at_load_json(*p.at_mean);
  out["requests"] = p.requests;
  out["short_window"] = p.short_window;
  for (const LatencySummary& l : p.latency) out["latency"].push_back(latency_array(l));
  const ThroughputSummary& t = p.throughput;
  out["throughput"] = {t.requests_per_s, t.output_tokens_per_s, t.total_tokens_per_s, t.output_tokens_per_s_per_gpu};
  if (t.offered_per_s) out["offered"] = *t.offered_per_s;
  out["utilisation"] = p.utilisation;
  out["objectives"] = p.objectives;
  return out;
}

PlanFigures plan_from_json(const json& j) {
  PlanFigures p;
  static_cast<PoolSize&>(p.size) = size_from(j.at("size"));
  if (j.contains("prefill")) {
    p.size.prefill = size_from(j["prefill"]);
    p.prefill_utilisation = j.at("prefill_utilisation").get<double>();
  }
  p.price = price_from(j.at("price"));
  p.factor = j.at("factor").get<double>();
  p.served = served_from(j.at("served"));
  if (j.contains("at_mean")) p.at_mean = at_load_from(j["at_mean"]);
  p.requests = j.at("requests").get<std::uint64_t>();
  p.short_window = j.at("short_window").get<bool>();
  for (std::size_t i = 0; i < p.latency.size(); ++i) p.latency[i] = latency_from(j.at("latency").at(i));
  const json& t = j.at("throughput");
  p.throughput = {t[0].get<double>(), t[1].get<double>(), t[2].get<double>(), t[3].get<double>(), std::nullopt, false};
  if (j.contains("offered")) p.throughput.offered_per_s = j["offered"].get<double>();
  p.utilisation = j.at("utilisation").get<double>();
  p.objectives = j.at("objectives").get<std::vector<double>>();
  return p;
}

}  // namespace

std::string_view to_string(Rejection rejection) {
  switch (rejection) {
    case Rejection::kNone: return "none";
    case Rejection::kLayout: return "layout";
    case Rejection::kSupport: return "engine support";
    case Rejection::kMemory: return "memory";
    case Rejection::kPrice: return "unknown price";
    case Rejection::kBound: return "objective out of reach at any size";
    case Rejection::kLimit: return "limits";
    case Rejection::kCostBound: return "cost bound";
    case Rejection::kObjective: return "objective missed";
    case Rejection::kSaturated: return "saturated";
    case Rejection::kDearer: return "beaten by another plan";
    case Rejection::kUnfinished: return "unfinished";
  }
  MOEPLAN_CHECK(false);
  return {};
}

PlanPrice price_plan(const Scenario& scenario, const PlanSize& size, const PlanBusy& busy) {
  PlanPrice price;
  bool powered = true;
  double load_w = 0, mean_w = 0, site_w = 0;
  const auto add = [&](const CostSpec& spec, const ClusterSpec& cluster, int gpus, int spare_gpus, double share) {
    const ClusterCost cost = cluster_cost(spec, cluster.gpu, cluster.node, {gpus - spare_gpus, spare_gpus, share});
    price.usd_per_hour += cost.usd_per_hour.value_or(0);
    powered = powered && cost.power.has_value();
    if (!cost.power) return;
    load_w += cost.power->load_w;
    mean_w += cost.power->mean_w;
    site_w += cost.power->mean_w * cost.power->pue;
  };
  const ClusterSpec& cluster = scenario.deployment.cluster;
  const PoolSize& prefill = size.prefill;
  if (!size.pools()) {
    add(scenario.cost, cluster, size.gpus, size.spare_gpus, busy.serving);
  } else if (const DisaggregationSpec& spec = *scenario.disaggregation; spec.cost) {
    add(scenario.cost, cluster, size.gpus - prefill.gpus, size.spare_gpus - prefill.spare_gpus, busy.serving);
    add(*spec.cost, spec.prefill.cluster, prefill.gpus, prefill.spare_gpus, busy.prefill);
  } else {  // on like nodes, which they may share
    const int prefill_busy = prefill.gpus - prefill.spare_gpus;
    const int all_busy = size.gpus - size.spare_gpus;
    add(scenario.cost, cluster, size.gpus, size.spare_gpus, (busy.serving * (all_busy - prefill_busy) + busy.prefill * prefill_busy) / all_busy);
  }
  // What one pool draws says nothing of both.
  if (!powered) return price;
  price.load_w = load_w;
  price.mean_w = mean_w;
  price.site_w = site_w;
  return price;
}

namespace {

std::optional<double> over(double amount, double per_second) { return per_second > 0 ? std::optional(amount / per_second) : std::nullopt; }

}  // namespace

double PlanAtLoad::hosted_usd_per_hour(const ApiPrice& api) const {
  return (api.input_usd_per_million * served.input_tokens + api.output_usd_per_million * served.output_tokens) / 1e6 * 3600;
}

std::optional<double> PlanAtLoad::usd_per_million_output_tokens() const { return over(price.usd_per_hour / 3600.0 * 1e6, served.output_tokens); }
std::optional<double> PlanAtLoad::usd_per_million_input_tokens() const { return over(price.usd_per_hour / 3600.0 * 1e6, served.input_tokens); }
std::optional<double> PlanAtLoad::usd_per_request() const { return over(price.usd_per_hour / 3600.0, served.requests); }
std::optional<double> PlanAtLoad::joules_per_output_token() const { return price.site_w ? over(*price.site_w, served.output_tokens) : std::nullopt; }

std::string CandidateOutcome::to_text() const {
  json out;
  out["rejection"] = static_cast<int>(rejection);
  out["reason"] = reason;
  out["key"] = key;
  out["miss"] = miss;
  if (plan) out["plan"] = plan_to_json(*plan);
  return out.dump();
}

CandidateOutcome CandidateOutcome::from_text(const std::string& text) {
  const json j = json::parse(text);
  CandidateOutcome outcome;
  outcome.rejection = static_cast<Rejection>(j.at("rejection").get<int>());
  outcome.reason = j.at("reason").get<std::string>();
  outcome.key = j.at("key").get<std::string>();
  outcome.miss = j.at("miss").get<double>();
  if (j.contains("plan")) outcome.plan = plan_from_json(j["plan"]);
  return outcome;
}

CandidateOutcome rejected(Rejection rejection, std::string reason, std::string key, double miss) {
  return {rejection, std::move(reason), std::move(key), miss, std::nullopt};
}

std::string replicas_text(const PlanSize& size) {
  if (size.pools()) {
    return fmt::format("{} prefill and {} ({})", size.prefill.serving, counted(size.serving, "decode replica"), counted(size.gpus, "GPU"));
  }
  return fmt::format("{} ({})", counted(size.serving, "replica"), counted(size.gpus, "GPU"));
}

}  // namespace moeplan
