#include "study/plan_outcome.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "study/cost_account.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

json latency_array(const LatencySummary& l) { return {l.count, l.mean, l.p50, l.p90, l.p95, l.p99, l.max}; }

LatencySummary latency_from(const json& j) {
  return {j[0].get<std::uint64_t>(), j[1].get<double>(), j[2].get<double>(), j[3].get<double>(), j[4].get<double>(), j[5].get<double>(), j[6].get<double>()};
}

json size_array(const PoolSize& s) { return {s.serving, s.spare, s.nodes, s.gpus, s.spare_gpus}; }

PoolSize size_from(const json& j) { return {j[0].get<int>(), j[1].get<int>(), j[2].get<int>(), j[3].get<int>(), j[4].get<int>()}; }

json plan_to_json(const PlanFigures& p) {
  json out;
  out["size"] = size_array(p.size);
  if (p.size.pools()) {
    out["prefill"] = size_array(p.size.prefill);
    out["prefill_utilisation"] = p.prefill_utilisation;
  }
  out["price"] = {p.price.usd_per_hour, p.price.load_w, p.price.mean_w};
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
  const json& price = j.at("price");
  p.price = {price[0].get<double>(), price[1].get<double>(), price[2].get<double>()};
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
  const auto add = [&](const CostSpec& spec, const ClusterSpec& cluster, int gpus, int spare_gpus, double share) {
    const ClusterCost cost = cluster_cost(spec, cluster.gpu, cluster.node, {gpus - spare_gpus, spare_gpus, share});
    price.usd_per_hour += cost.usd_per_hour.value_or(0);
    if (!cost.power) return false;
    price.load_w += cost.power->load_w;
    price.mean_w += cost.power->mean_w;
    return true;
  };
  const PoolSize& prefill = size.prefill;
  bool powered = add(scenario.cost, scenario.deployment.cluster, size.gpus - prefill.gpus, size.spare_gpus - prefill.spare_gpus, busy.serving);
  if (size.pools()) {
    const DisaggregationSpec& spec = *scenario.disaggregation;
    powered = add(spec.cost ? *spec.cost : scenario.cost, spec.prefill.cluster, prefill.gpus, prefill.spare_gpus, busy.prefill) && powered;
  }
  // What one pool draws says nothing of both.
  if (!powered) price.load_w = price.mean_w = 0;
  return price;
}

std::optional<double> PlanFigures::usd_per_million_output_tokens() const {
  if (!(throughput.output_tokens_per_s > 0)) return std::nullopt;
  return price.usd_per_hour / 3600.0 / throughput.output_tokens_per_s * 1e6;
}

std::string CandidateOutcome::to_text() const {
  json out;
  out["rejection"] = static_cast<int>(rejection);
  out["reason"] = reason;
  out["key"] = key;
  if (plan) out["plan"] = plan_to_json(*plan);
  return out.dump();
}

CandidateOutcome CandidateOutcome::from_text(const std::string& text) {
  const json j = json::parse(text);
  CandidateOutcome outcome;
  outcome.rejection = static_cast<Rejection>(j.at("rejection").get<int>());
  outcome.reason = j.at("reason").get<std::string>();
  outcome.key = j.at("key").get<std::string>();
  if (j.contains("plan")) outcome.plan = plan_from_json(j["plan"]);
  return outcome;
}

CandidateOutcome rejected(Rejection rejection, std::string reason, std::string key) {
  return {rejection, std::move(reason), std::move(key), std::nullopt};
}

std::string replicas_text(const PlanSize& size) {
  if (size.pools()) {
    return fmt::format("{} prefill and {} decode {} ({} GPUs)", size.prefill.serving, size.serving, size.serving == 1 ? "replica" : "replicas", size.gpus);
  }
  return fmt::format("{} {} ({} GPUs)", size.serving, size.serving == 1 ? "replica" : "replicas", size.gpus);
}

}  // namespace moeplan
