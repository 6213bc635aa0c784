#include <nlohmann/json.hpp>

#include "study/plan_feature_report.hpp"
#include "study/plan_report.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

json or_null(const std::optional<double>& value) { return value ? json(*value) : json(); }

json memory_of(const PlanSpace& space, const PlanCandidate& c) {
  const PlanGroup& group = space.groups[c.group];
  if (!group.refusal.empty() && !group.refused_by_engine) return nullptr;
  DeploymentConfig config = group.config;
  config.scheduler = c.scheduler;
  const MemoryPlan plan = plan_deployment_memory(config).plan;
  return {{"fits", plan.fits}, {"missing_bytes", plan.missing.value()}, {"per_gpu_free_bytes", plan.free.value()},
          {"weights_bytes", plan.weights.value()}, {"kv_cache_bytes", plan.kv_cache.value()}, {"kv_capacity_tokens", plan.kv_capacity_tokens}};
}

json latency_of(const PlanFigures& plan) {
  json out;
  for (const LatencyMetric metric : kLatencyMetrics) {
    const LatencySummary& l = plan.latency[static_cast<std::size_t>(metric)];
    const std::string key = std::string(to_string(metric)) + "_s";
    out[key] = l.count == 0 ? json() : json{{"mean", l.mean}, {"p50", l.p50}, {"p90", l.p90}, {"p95", l.p95}, {"p99", l.p99}, {"max", l.max}};
  }
  return out;
}

json throughput_of(const PlanFigures& plan) {
  const ThroughputSummary& t = plan.throughput;
  return {{"requests_per_s", t.requests_per_s},
          {"output_tokens_per_s", t.output_tokens_per_s},
          {"total_tokens_per_s", t.total_tokens_per_s},
          {"output_tokens_per_s_per_gpu", t.output_tokens_per_s_per_gpu},
          {"offered_per_s", t.offered_per_s ? json(*t.offered_per_s) : json()}};
}

json objectives_of(const PlanFigures& plan, const std::vector<Objective>& objectives) {
  json out = json::array();
  for (std::size_t i = 0; i < objectives.size(); ++i) {
    out.push_back({{"key", objectives[i].key}, {"value", plan.objectives[i]}, {"bound", objectives[i].bound}, {"met", true}});
  }
  return out;
}

json layout_json(const ParallelLayout& l) { return {{"tensor", l.tensor}, {"pipeline", l.pipeline}, {"expert", l.expert}, {"attention_data", l.attention_data}}; }

json prefill_json(const DisaggregationSpec& pools) {
  const DeploymentConfig& d = pools.prefill;
  json out = {{"gpu", d.cluster.gpu.id}, {"node", d.cluster.node.id}, {"gpus_per_replica", d.layout.gpus()}, {"parallel", layout_json(d.layout)}};
  out["scheduler"] = {{"max_batch_requests", d.scheduler.max_batch_requests}, {"max_batch_tokens", d.scheduler.max_batch_tokens}};
  return out;
}

/// What is true of a candidate whether it is a plan or not.
json candidate_json(const PlanSpace& space, std::size_t index) {
  const PlanCandidate& c = space.candidates[index];
  const DeploymentConfig& d = space.groups[c.group].config;
  json out;
  out["id"] = c.id;
  out["model"] = d.model.id;
  out["gpu"] = d.cluster.gpu.id;
  out["node"] = d.cluster.node.id;
  out["engine"] = d.engine.id;
  out["gpus_per_replica"] = d.layout.gpus();
  out["parallel"] = layout_json(d.layout);
  out["precision"] = {{"weights", to_string(d.precision.weights)}, {"kv_cache", to_string(d.precision.kv_cache)}};
  if (d.model.is_moe()) out["precision"]["experts"] = to_string(d.precision.experts);
  out["scheduler"] = {{"max_batch_requests", c.scheduler.max_batch_requests}, {"max_batch_tokens", c.scheduler.max_batch_tokens}};
  out["memory"] = memory_of(space, c);
  const PlanGroup& group = space.groups[c.group];
  const auto& features = space.bases[group.base].features;
  if (!features.empty()) out["features"] = features;
  if (group.pools) out["prefill"] = prefill_json(*group.pools);
  return out;
}

/// Money and energy under one load; `prefill_share`: of the GPUs, those that only prefill.
json cost_of(const PlanAtLoad& at, double prefill_share) {
  return {{"load_factor", at.factor},
          {"requests_per_s", at.served.requests},
          {"gpu_busy", at.utilisation * (1 - prefill_share) + at.prefill_utilisation * prefill_share},
          {"usd_per_hour", at.price.usd_per_hour},
          {"usd_per_million_output_tokens", or_null(at.usd_per_million_output_tokens())},
          {"usd_per_million_input_tokens", or_null(at.usd_per_million_input_tokens())},
          {"usd_per_request", or_null(at.usd_per_request())},
          {"power_w", or_null(at.price.mean_w)},
          {"site_power_w", or_null(at.price.site_w)},
          {"joules_per_output_token", or_null(at.joules_per_output_token())}};
}

/// The hosted model's bill for the same load, where the scenario states its price.
std::optional<json> hosted_json(const Scenario& scenario, const PlanAtLoad& at) {
  if (!scenario.cost.api) return std::nullopt;
  const double hosted = at.hosted_usd_per_hour(*scenario.cost.api);
  return json{{"usd_per_hour", hosted}, {"own_over_api", hosted > 0 ? json(at.price.usd_per_hour / hosted) : json()}};
}

json plan_candidate_json(const PlanSpace& space, const PlanAnswer& answer, std::size_t index) {
  json out = candidate_json(space, index);
  const auto& plan = answer.outcomes[index].plan;
  if (!plan) return out;
  out["replicas"] = plan->size.serving + plan->size.spare;
  out["spare_replicas"] = plan->size.spare;
  if (plan->size.pools()) {
    const PoolSize& prefill = plan->size.prefill;
    out["prefill"]["replicas"] = prefill.serving + prefill.spare;
    out["prefill"]["spare_replicas"] = prefill.spare;
    out["prefill"]["gpus"] = prefill.gpus;
    out["prefill"]["utilisation"] = plan->prefill_utilisation;
  }
  out["gpus"] = plan->size.gpus;
  out["nodes"] = plan->size.nodes;
  out["latency"] = latency_of(*plan);
  out["throughput"] = throughput_of(*plan);
  out["utilisation"] = plan->utilisation;
  out["simulated_requests"] = plan->requests;
  const double prefill_share = plan->size.pools() ? static_cast<double>(plan->size.prefill.gpus) / plan->size.gpus : 0;
  out["cost"] = cost_of(plan->as_sized(), prefill_share);
  if (plan->at_mean) {
    out["cost"]["at_mean_load"] = cost_of(*plan->at_mean, prefill_share);
    if (const auto hosted = hosted_json(space.bases[space.groups[space.candidates[index].group].base].scenario, *plan->at_mean)) out["cost"]["at_mean_load"]["api"] = *hosted;
  }
  out["power_w"] = or_null(plan->price.mean_w);
  out["load_power_w"] = or_null(plan->price.load_w);
  out["objectives"] = objectives_of(*plan, space.objectives);
  return out;
}

json headroom_json(const PlanHeadroom& h, const std::vector<Objective>& objectives) {
  json out;
  out["load_share"] = or_null(h.load_share);
  out["load_share_is_lower_bound"] = h.load_share_is_bound;
  if (h.throughput_share) out["throughput_share"] = *h.throughput_share;
  if (h.replicas_at_mean > 0) out["replicas_at_mean_load"] = h.replicas_at_mean;
  if (!h.months.empty()) {
    out["months"] = json::array();
    for (const PlanHeadroom::Month& m : h.months) out["months"].push_back({{"month", m.month}, {"peak_factor", m.factor}, {"replicas", m.replicas}});
  }
  if (h.all_up) out["all_replicas_up"] = {{"latency", latency_of(*h.all_up)}, {"objectives", objectives_of(*h.all_up, objectives)}};
  if (h.outages) {
    out["outages"] = {{"restart_s", h.outages->restart_s}, {"weight_load_s", h.outages->weight_load_s}, {"node_down_share", h.outages->node_down},
                      {"nodes_down_mean", h.outages->nodes_down_mean}, {"replicas", h.outages->replicas}, {"needed_replicas", h.outages->needed},
                      {"availability", h.outages->availability}};
    if (h.outages->in_maintenance) out["outages"]["availability_in_maintenance"] = *h.outages->in_maintenance;
  }
  out["assumptions"] = json::array();
  for (const PlanHeadroom::Assumption& a : h.assumptions) {
    out["assumptions"].push_back({{"text", a.text}, {"serving_replicas", a.replicas > 0 ? json(a.replicas) : json()}});
  }
  return out;
}

json reliability_json(const ReliabilityConfig& r) {
  return {{"spare_nodes", r.spare_nodes},
          {"maintenance_nodes", r.maintenance_nodes},
          {"maintenance_off_peak", r.maintenance_off_peak},
          {"failures_per_node_year", r.failures_per_node_year},
          {"restart_s", r.restart_s},
          {"weight_load_bytes_per_s", r.weight_load_bytes_per_s}};
}

json choices_json(const PlanSpace& space, const PlanAnswer& answer) {
  json out = json::array();
  for (const PlanChoice& c : plan_choices(space, answer)) {
    json row = {{"model", c.model}, {"gpu", c.gpu}, {"candidates", c.candidates}};
    if (c.candidate) {
      row["best"] = space.candidates[*c.candidate].id;
      row["usd_per_hour"] = answer.outcomes[*c.candidate].plan->price.usd_per_hour;
    } else {
      row["problem"] = c.problem;
    }
    out.push_back(row);
  }
  return out;
}

json section(const PlanSpace& space, const PlanAnswer& answer) {
  const std::vector<Objective>& objectives = space.objectives;
  json out;
  out["best"] = answer.best ? plan_candidate_json(space, answer, *answer.best) : json();
  out["pareto"] = json::array();
  for (const std::size_t i : answer.pareto) out["pareto"].push_back(plan_candidate_json(space, answer, i));
  out["rejected"] = json::array();
  for (std::size_t i = 0; i < answer.outcomes.size(); ++i) {
    const CandidateOutcome& o = answer.outcomes[i];
    if (o.rejection == Rejection::kNone) continue;
    out["rejected"].push_back({{"candidate", plan_candidate_json(space, answer, i)}, {"reason", o.reason}, {"kind", to_string(o.rejection)}});
    if (!o.key.empty()) out["rejected"].back()["key"] = o.key;
  }
  out["rejections"] = json::object();
  for (const auto& [kind, count] : rejection_counts(answer)) out["rejections"][std::string(to_string(kind))] = count;
  out["choices"] = choices_json(space, answer);
  out["candidates"] = answer.outcomes.size();
  out["evaluated"] = answer.simulated;
  out["exhausted"] = answer.exhausted;
  out["pareto_up_to"] = space.search.pareto_up_to;
  out["objectives"] = json::array();
  for (const Objective& o : objectives) out["objectives"].push_back({{"key", o.key}, {"unit", o.kind == ObjectiveKind::kLatency ? "s" : "/s"}, {"bound", o.bound}});
  out["load"] = {{"mean_factor", answer.factors.mean}, {"peak_factor", answer.factors.peak}, {"trough_factor", answer.factors.trough}, {"period_mean_factor", answer.factors.period_mean}, {"months", space.search.load.months}};
  if (!space.features.empty()) out["features"] = features_json(space, answer);
  if (space.search.reliability.stated) out["reliability"] = reliability_json(space.search.reliability);
  if (answer.headroom) {
    out["headroom"] = headroom_json(*answer.headroom, objectives);
    out["headroom_share"] = or_null(answer.headroom->load_share);
  }
  if (!answer.best) out["no_plan"] = no_plan_text(space, answer);
  return out;
}

}  // namespace

std::string plan_json(const PlanSpace& space, const PlanAnswer& answer, const PlanReport& report, const DataRoot& data) {
  json out = json::parse(result_json(answer.scenario, report.result, data));
  out["plan"] = section(space, answer);
  out["plan"]["assumptions"] = plan_assumptions(space, answer, report.confidence ? &*report.confidence : nullptr);
  if (report.trial) out["plan"]["trial"] = trial_section(*report.trial, data);
  const auto& sure = report.confidence;
  out["plan"]["probability_met"] = sure ? json(sure->uncertainty.probability_met) : json();
  if (sure && sure->uncertainty.probability_error) out["plan"]["probability_error"] = *sure->uncertainty.probability_error;
  if (!sure || sure->size_known) out["plan"]["extra_gpus_95"] = sure && sure->extra_gpus ? json(*sure->extra_gpus) : json();
  const std::string advice = sure && answer.best ? advice_on_95(*sure, space, space.groups[space.candidates[*answer.best].group], *answer.outcomes[*answer.best].plan) : std::string();
  if (!advice.empty()) out["plan"]["advice_95"] = advice;
  if (!report.not_assessed.empty()) out["plan"]["not_assessed"] = report.not_assessed;
  return out.dump(1) + "\n";
}

}  // namespace moeplan
