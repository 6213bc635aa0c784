#include <fmt/core.h>

#include <cmath>
#include <tuple>
#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "study/checklist.hpp"
#include "study/load_curve_report.hpp"
#include "study/resolved_scenario.hpp"
#include "study/result.hpp"
#include "study/run_result.hpp"
#include "study/serving_sections.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

/// Nodes that the GPUs in use fill; pools with nodes of their own share none.
int nodes_in_use(const Scenario& scenario) {
  const NodeSpec& node = scenario.deployment.cluster.node;
  const auto& pools = scenario.disaggregation;
  if (!pools || !pools->own_cluster) return nodes_for(node, scenario.gpus());
  return nodes_for(pools->prefill.cluster.node, pools->prefill_replicas * pools->prefill.layout.gpus()) + nodes_for(node, scenario.replicas * scenario.deployment.layout.gpus());
}

/// What would stand in the rack: the accelerators in use, by name.
json hardware_json(const Scenario& scenario) {
  const DeploymentConfig& d = scenario.deployment;
  const int gpus = scenario.gpus();
  json out = {{"gpus", gpus},
          {"gpu", d.cluster.gpu.name},
          {"gpus_per_replica", d.layout.gpus()},
          {"replicas", scenario.replicas},
          {"nodes", nodes_in_use(scenario)},
          {"node", d.cluster.node.id},
          {"gpus_per_node", d.cluster.node.gpus},
          {"gpu_memory_bytes", d.cluster.gpu.memory.value()},
          {"gpu_memory_bytes_per_s", d.cluster.gpu.memory_bandwidth.value()},
          {"model", d.model.name},
          {"model_kind", d.model.is_moe() ? "moe" : "dense"},
          {"engine", d.engine.id + " " + d.engine.version}};
  if (!scenario.disaggregation) return out;
  const DeploymentConfig& p = scenario.disaggregation->prefill;
  out["prefill_pool"] = {{"gpu", p.cluster.gpu.name},
                         {"node", p.cluster.node.id},
                         {"gpus_per_replica", p.layout.gpus()},
                         {"replicas", scenario.disaggregation->prefill_replicas},
                         {"gpu_memory_bytes", p.cluster.gpu.memory.value()}};
  return out;
}

json checklist_json(const Scenario& scenario, const Result& result) {
  json out = json::array();
  for (const CheckItem& item : production_checklist(scenario, result)) {
    out.push_back({{"check", item.check}, {"status", to_string(item.status)}, {"detail", item.detail}});
  }
  return out;
}

json memory_json(const MemorySummary& m) {
  const MemoryPlan& p = m.plan;
  json out;
  out["fits"] = p.fits;
  out["missing_bytes"] = p.missing.value();
  out["per_gpu"] = {{"capacity_bytes", p.capacity.value()},       {"weights_bytes", p.weights.value()},
                    {"experts_bytes", m.weights.experts.value()}, {"kv_cache_bytes", p.kv_cache.value()},
                    {"activations_bytes", p.activations.value()}, {"runtime_bytes", p.runtime.value()},
                    {"free_bytes", p.free.value()}};
  out["weights_by_component"] = {{"attention_bytes", m.weights.attention.value()},
                                 {"dense_ffn_bytes", m.weights.dense_ffn.value()},
                                 {"shared_experts_bytes", m.weights.shared_experts.value()},
                                 {"experts_bytes", m.weights.experts.value()},
                                 {"embedding_bytes", m.weights.embedding.value()},
                                 {"head_bytes", m.weights.head.value()},
                                 {"router_bytes", m.weights.router.value()},
                                 {"norms_bytes", m.weights.norms.value()},
                                 {"adapters_bytes", m.adapters.value()}};
  if (m.draft.value() > 0) out["weights_by_component"]["draft_bytes"] = m.draft.value();
  out["kv_capacity_tokens"] = p.kv_capacity_tokens;
  if (m.kv_capacity_longest > 0) out["kv_capacity_longest_tokens"] = m.kv_capacity_longest;
  out["parameters"] = {{"total", std::llround(m.parameters.total())},
                       {"active", std::llround(m.parameters.active())},
                       {"active_excluding_embeddings", std::llround(m.parameters.active_excluding_embeddings())}};
  return out;
}

json memory_json(const Result& result) {
  json out = memory_json(result.memory);
  if (result.prefill_memory) out["prefill_pool"] = memory_json(*result.prefill_memory);
  return out;
}

json latency_json(const Result& result) {
  if (!result.latency) return nullptr;
  json out;
  for (const LatencyMetric metric : kLatencyMetrics) {
    const LatencySummary& l = (*result.latency)[static_cast<std::size_t>(metric)];
    const std::string key = std::string(to_string(metric)) + "_s";
    if (l.count == 0) {
      out[key] = nullptr;
      continue;
    }
    out[key] = {{"mean", l.mean}, {"p50", l.p50}, {"p90", l.p90}, {"p95", l.p95}, {"p99", l.p99}, {"max", l.max}};
  }
  return out;
}

json throughput_json(const Result& result) {
  if (!result.throughput) return nullptr;
  const ThroughputSummary& t = *result.throughput;
  return {{"requests_per_s", t.requests_per_s},
          {"output_tokens_per_s", t.output_tokens_per_s},
          {"total_tokens_per_s", t.total_tokens_per_s},
          {"output_tokens_per_s_per_gpu", t.output_tokens_per_s_per_gpu},
          {"offered_per_s", or_null(t.offered_per_s)},
          {"saturated", t.saturated}};
}

json step_json(const StepSummary& step) {
  if (step.steps == 0) return nullptr;
  json share;
  for (int i = 0; i < kStepParts; ++i) share[std::string(to_string(static_cast<StepPart>(i)))] = step.share[static_cast<std::size_t>(i)];
  return {{"steps", step.steps}, {"mean_s", step.mean_s}, {"share", share}};
}

/// To three decimals: a map of thousands of loads needs no more.
double rounded(double load) { return std::round(load * 1000.0) / 1000.0; }

json experts_json(const Result& result) {
  if (!result.experts) return nullptr;
  const ExpertSummary& e = *result.experts;
  json out = {{"hottest_over_mean", {{"mean", e.hottest_over_mean_mean}, {"p50", e.hottest_over_mean_p50}, {"p99", e.hottest_over_mean_p99}}},
              {"distinct_experts_mean", e.distinct_experts_mean},
              {"imbalance_share", e.imbalance_share},
              {"routing", e.routing}};
  if (e.dropped_token_share) out["dropped_token_share"] = *e.dropped_token_share;
  if (e.rebalances) out["rebalance"] = {{"count", *e.rebalances}, {"stall_s", e.rebalance_stall_s}};
  if (e.load.empty()) return out;
  json map = json::array();
  for (const auto& layer : e.load) {
    map.push_back(json::array());
    for (const double load : layer) map.back().push_back(rounded(load));
  }
  out["load"] = {{"layers", e.load_layers}, {"by_layer", std::move(map)}};
  json ranks = json::array();
  for (const double load : e.rank_load) ranks.push_back(rounded(load));
  out["placement"] = {{"kind", e.placement}, {"redundant", e.redundant_experts}, {"rank_load", std::move(ranks)}};
  return out;
}

void add_communication(const CommunicationSummary& c, json& out) {
  out["exposed_communication_share"] = c.exposed_share;
  for (const auto& [key, decode, prefill] : {std::tuple{"exposed_communication_s", c.exposed_decode_s, c.exposed_prefill_s},
                                             std::tuple{"hidden_communication_s", c.hidden_decode_s, c.hidden_prefill_s}}) {
    json& seconds = out[key] = json::object();
    if (decode) seconds["decode"] = *decode;
    if (prefill) seconds["prefill"] = *prefill;
  }
}

json network_json(const Result& result) {
  json out = json::object();
  for (const auto& [name, step] : {std::pair{"decode", &result.decode_step}, std::pair{"prefill", &result.prefill_step}}) {
    if (step->steps == 0) continue;
    const auto share = [&](StepPart part) { return step->share[static_cast<std::size_t>(part)]; };
    out[std::string(name) + "_share_of_step"] = {{"all_reduce", share(StepPart::kAllReduce)}, {"all_to_all", share(StepPart::kAllToAll)},
                                                 {"pipeline", share(StepPart::kPipeline)}};
  }
  if (!result.network) return out;
  const NetworkSummary& n = *result.network;
  add_communication(n, out);
  if (n.pools) {
    add_communication((*n.pools)[0], out["pools"]["prefill"]);
    add_communication((*n.pools)[1], out["pools"]["decode"]);
  }
  out["slowdown"] = n.slowdown;
  out["links"] = json::array();
  for (const LinkSummary& l : n.links) {
    out["links"].push_back({{"name", l.name},
                            {"kind", l.kind},
                            {"capacity_bytes_per_s", l.capacity_bytes_per_s},
                            {"utilisation_mean", l.utilisation_mean},
                            {"utilisation_p50", l.utilisation_p50},
                            {"utilisation_p99", l.utilisation_p99}});
  }
  return out;
}

json objectives_json(const Result& result) {
  json out = json::array();
  for (const ObjectiveResult& o : result.objectives) {
    out.push_back({{"objective", o.objective.key},
                   {"unit", o.objective.kind == ObjectiveKind::kLatency ? "s" : "/s"},
                   {"bound", o.objective.bound},
                   {"value", or_null(o.value)},
                   {"met", o.met}});
  }
  return out;
}

json hosted_json(const HostedBill& bill) {
  return {{"usd_per_hour", bill.usd_per_hour},
          {"usd_per_request", bill.usd_per_request},
          {"own_over_api", bill.own_over_api},
          {"break_even_requests_per_s", bill.break_even_requests_per_s},
          {"break_even_tokens_per_day", bill.break_even_tokens_per_day},
          {"largest_requests_per_s", or_null(bill.largest_requests_per_s)},
          {"largest_is_lower_bound", bill.largest_is_bound},
          {"break_even_served", or_null(bill.break_even_served())},
          {"text", bill.text}};
}

json api_json(const ApiComparison& api) {
  json out = hosted_json(api);
  out["usd_per_million_input"] = api.price.input_usd_per_million;
  out["usd_per_million_output"] = api.price.output_usd_per_million;
  out["source"] = api.price.source;
  out["pricing"] = api.pricing_text;
  if (api.at_mean) {
    json& mean = out["at_mean_load"] = hosted_json(*api.at_mean);
    mean["load_factor"] = api.at_mean->load_factor;
    mean["requests_per_s"] = api.at_mean->requests_per_s;
    mean["own_usd_per_hour"] = api.at_mean->own_usd_per_hour;
  }
  return out;
}

json cost_json(const Result& result) {
  if (!result.cost) return nullptr;
  const CostSummary& c = *result.cost;
  json out = {{"per_gpu_hour_usd", c.usd_per_gpu_hour},
              {"per_hour_usd", c.usd_per_hour},
              {"usd_per_million_input_tokens", or_null(c.usd_per_million_input_tokens)},
              {"per_million_output_tokens_usd", or_null(c.usd_per_million_output_tokens)},
              {"per_million_total_tokens_usd", or_null(c.usd_per_million_total_tokens)},
              {"per_request_usd", or_null(c.usd_per_request)},
              {"split",
               {{"input_share_of_time", c.prompt_time_share},
                {"usd_per_million_input_tokens", or_null(c.split_usd_per_million_input_tokens)},
                {"usd_per_million_output_tokens", or_null(c.split_usd_per_million_output_tokens)}}},
              {"served", {{"requests_per_s", c.load.requests_per_s}, {"input_tokens_per_s", c.load.input_tokens_per_s}, {"output_tokens_per_s", c.load.output_tokens_per_s}}},
              {"source", c.source}};
  out["breakdown"] = json::array();
  for (const CostItem& item : c.breakdown) out["breakdown"].push_back({{"item", item.item}, {"usd_per_hour", item.usd_per_hour}, {"source", item.source}});
  if (c.power) {
    out["power"] = {{"idle_w", c.power->idle_w},   {"load_w", c.power->load_w}, {"mean_w", c.power->mean_w}, {"pue", c.power->pue},
                    {"source", c.power->source}, {"joules_per_output_token", or_null(c.joules_per_output_token)}};
  }
  if (c.api) out["api"] = api_json(*c.api);
  return out;
}

json provenance_json(const Scenario& scenario, const Result& result, const DataRoot& data) {
  static constexpr const char* kNames[kOrigins] = {"measured", "interpolated", "extrapolated", "transferred", "datasheet"};
  json share;
  for (int i = 0; i < kOrigins; ++i) share[kNames[i]] = result.origin_share[static_cast<std::size_t>(i)];
  json files = json::array();
  for (const auto& file : scenario.files) files.push_back({{"file", data.display(file)}, {"sha256", sha256_of_file(file)}});
  return {{"step_time_share", share}, {"files", files}};
}

json requests_json(const RequestSummary& r) {
  json out = {{"arrived", r.arrived}, {"completed", r.completed}, {"rejected", r.rejected}, {"preempted", r.preempted}, {"in_flight", r.in_flight}};
  if (r.retries > 0 || r.failed > 0) {
    out["failed"] = r.failed;
    out["retries"] = r.retries;
  }
  if (r.turned_away > 0) out["turned_away"] = r.turned_away;
  return out;
}

/// One of several deployments on a cluster.
json deployment_json(const Scenario& scenario, const Result& result) {
  json out = {{"name", scenario.name},
              {"model", scenario.deployment.model.name},
              {"replicas", all_replicas(scenario)},
              {"gpus", scenario.placed_gpus()},
              {"memory", memory_json(result)},
              {"latency", latency_json(result)},
              {"throughput", throughput_json(result)},
              {"requests", requests_json(result.requests)},
              {"utilisation", {{"gpu_busy", result.utilisation}, {"kv_cache", result.kv_utilisation}, {"mean_batch", result.mean_batch}}},
              {"objectives", objectives_json(result)},
              {"cost", cost_json(result)},
              {"warnings", result.warnings}};
  if (result.network) out["network_slowdown"] = result.network->slowdown;
  if (result.fleet) out["fleet"] = fleet_section(*result.fleet);
  return out;
}

void add_deployments(const Scenario& scenario, const Result& result, json& out) {
  if (result.others.empty()) return;
  json& list = out["deployments"];
  list.push_back(deployment_json(scenario, result));
  for (std::size_t i = 0; i < result.others.size(); ++i) list.push_back(deployment_json(scenario.others[i], result.others[i]));
  const DeploymentTotals t = deployment_totals(scenario, result);
  out["totals"] = {{"gpus", t.gpus},           {"requests_per_s", t.requests_per_s}, {"output_tokens_per_s", t.output_tokens_per_s},
                   {"requests", requests_json(t.requests)}, {"usd_per_hour", or_null(t.usd_per_hour)}};
}

}  // namespace

std::string result_json(const Scenario& scenario, const Result& result, const DataRoot& data) {
  json out;
  out["schema"] = "moeplan result 1";
  out["moeplan_version"] = MOEPLAN_VERSION;
  out["scenario"] = resolved_scenario_json(scenario, data);
  out["seed"] = scenario.seed;
  out["hardware"] = hardware_json(scenario);
  out["checklist"] = checklist_json(scenario, result);
  out["memory"] = memory_json(result);
  out["latency"] = latency_json(result);
  out["throughput"] = throughput_json(result);
  out["step_time"] = {{"decode", step_json(result.decode_step)}, {"prefill", step_json(result.prefill_step)}};
  out["experts"] = experts_json(result);
  out["network"] = network_json(result);
  if (const auto& o = result.offload) {
    out["offload"] = {{"resident_share", o->resident_share},
                      {"hit_rate", o->hit_rate},
                      {"bytes_streamed_per_step", o->bytes_streamed_per_step},
                      {"stream_share_of_step", o->stream_share_of_step}};
  }
  out["requests"] = requests_json(result.requests);
  if (result.requests.rejected > 0) {
    const auto& by = result.requests.rejected_by;
    out["requests"]["rejected_by"] = {{"too_long", by[0]}, {"does_not_fit", by[1]}, {"queue_full", by[2]}};
    out["requests"]["rejected_prompt_tokens"] = result.requests.rejected_prompt_tokens;
    out["requests"]["rejected_output_tokens"] = result.requests.rejected_output_tokens;
    if (result.requests.rejected_usd) out["requests"]["rejected_usd"] = *result.requests.rejected_usd;
  }
  add_serving_sections(result, out);
  add_deployments(scenario, result, out);
  out["utilisation"] = {{"gpu_busy", result.utilisation},
                        {"kv_cache", result.kv_utilisation},
                        {"mean_batch", result.mean_batch},
                        {"simulated_s", result.duration_s}};
  out["objectives"] = objectives_json(result);
  out["cost"] = cost_json(result);
  if (result.load_curve) {
    out["load_curve"] = load_points_json(*result.load_curve);
    out["knee"] = knee_json(*result.load_curve);
  }
  out["intervals"] = json::object();
  for (const auto& [key, bounds] : result.intervals) out["intervals"][key] = {{"low", bounds[0]}, {"high", bounds[1]}, {"level", result.intervals_level}};
  if (result.uncertainty) out["uncertainty"] = json::parse(uncertainty_json(*result.uncertainty));
  out["replications"] = result.replications;
  out["provenance"] = provenance_json(scenario, result, data);
  out["warnings"] = result.warnings;
  if (result.anchors) out["anchors"] = json::parse(anchor_fit_json(*result.anchors));
  return out.dump(1) + "\n";
}

}  // namespace moeplan
