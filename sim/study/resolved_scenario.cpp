#include "study/resolved_scenario.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

bool queue_limited(const Scenario& scenario) {
  const auto limited = [](const SchedulerConfig& s) { return s.max_queued_requests > 0 || s.max_queued_tokens > 0; };
  return limited(scenario.deployment.scheduler) || (scenario.disaggregation && limited(scenario.disaggregation->prefill.scheduler));
}

std::string time_text(SimTime time) { return fmt::format("{} s", to_seconds(time).value()); }

json popularity_json(const Popularity& r, const DataRoot& data) {
  switch (r.popularity) {
    case PopularityKind::kUniform: return {{"popularity", "uniform"}};
    case PopularityKind::kLognormal: return {{"popularity", "lognormal"}, {"sigma", r.sigma}};
    case PopularityKind::kZipf: return {{"popularity", "zipf"}, {"exponent", r.exponent}};
    case PopularityKind::kDirichlet: return {{"popularity", "dirichlet"}, {"alpha", r.alpha}};
    case PopularityKind::kPowerLaw: return {{"popularity", "power_law"}, {"exponent", r.exponent}, {"range", r.range}};
    case PopularityKind::kRecorded: return {{"popularity", "recorded"}, {"file", data.display(r.recorded.source)}};
  }
  MOEPLAN_CHECK(false);
  return {};
}

json class_popularity_json(const Popularity& r, const DataRoot& data) {
  json out = popularity_json(r, data);
  out["noise"] = r.noise;
  out["collapsed"] = r.collapsed;
  return out;
}

json lengths_json(const LengthConfig& c, const DataRoot& data) {
  json out = {{"distribution", to_string(c.kind)}};
  switch (c.kind) {
    case LengthKind::kFixed: out["value"] = c.value; break;
    case LengthKind::kUniform:
      out["low"] = c.low;
      out["high"] = c.high;
      break;
    case LengthKind::kLognormal:
      out["median"] = c.median;
      out["sigma"] = c.sigma;
      out["low"] = c.low;
      out["high"] = c.high;
      break;
    case LengthKind::kEmpirical:
      out["histogram"] = json::array();
      for (const LengthBin& bin : c.bins) out["histogram"].push_back({bin.tokens, bin.weight});
      break;
    case LengthKind::kTrace:
      if (!c.file.empty()) out["file"] = data.display(c.file);
      break;
  }
  return out;
}

json arrivals_json(const ArrivalConfig& a, const DataRoot& data) {
  json out = {{"process", to_string(a.process)}};
  switch (a.process) {
    case ArrivalProcess::kPoisson: out["rate"] = fmt::format("{} /s", a.rate); break;
    case ArrivalProcess::kGamma:
      out["rate"] = fmt::format("{} /s", a.rate);
      out["cv"] = a.cv;
      break;
    case ArrivalProcess::kMarkovModulated:
      out["states"] = json::array();
      for (const RateState& state : a.states) {
        out["states"].push_back({{"rate", fmt::format("{} /s", state.rate)}, {"duration", fmt::format("{} s", state.mean_seconds)}});
      }
      break;
    case ArrivalProcess::kClosed:
      out["concurrency"] = a.concurrency;
      out["turnaround"] = fmt::format("{} ms", to_seconds(a.turnaround).value() * 1e3);
      break;
    case ArrivalProcess::kBatch: break;
    case ArrivalProcess::kTrace:
      out["file"] = data.display(a.file);
      out["speedup"] = a.speedup;
      out["repeat"] = a.repeat;
      if (a.copies != 1) out["copies"] = a.copies;
      break;
  }
  if (!a.hourly_factors.empty()) out["diurnal"] = a.hourly_factors;
  return out;
}

void add_class(const WorkloadClass& c, bool queue_limited, const DataRoot& data, json& out) {
  out["prompt_tokens"] = lengths_json(c.prompt_tokens, data);
  out["output_tokens"] = lengths_json(c.output_tokens, data);
  if (c.prefix.tokens > 0) out["prefix"] = {{"tokens", c.prefix.tokens}, {"count", c.prefix.count}, {"zipf", c.prefix.zipf}};
  if (c.sessions.on) {
    out["sessions"] = {{"turns", lengths_json(c.sessions.turns, data)}, {"think_time", fmt::format("{} s", c.sessions.think_seconds)}};
    if (c.sessions.max_context > 0) out["sessions"]["max_context"] = c.sessions.max_context;
    if (queue_limited) out["sessions"]["retry_after"] = time_text(c.sessions.retry_after);
  }
}

json objective_bounds(const std::vector<Objective>& objectives) {
  json out = json::object();
  for (const Objective& o : objectives) {
    out[o.key] = o.kind == ObjectiveKind::kLatency ? json(fmt::format("{} ms", o.bound * 1e3)) : json(fmt::format("{} /s", o.bound));
  }
  return out;
}

json workload_json(const Scenario& scenario, const DataRoot& data) {
  const WorkloadConfig& w = scenario.workload;
  json out;
  out["arrivals"] = arrivals_json(w.arrivals, data);
  const bool limited = queue_limited(scenario);
  if (limited && w.arrivals.process == ArrivalProcess::kClosed) out["arrivals"]["retry_after"] = time_text(w.arrivals.retry_after);
  const bool plain = w.classes.size() == 1 && !w.classes[0].arrivals && w.classes[0].priority == 0;
  if (plain) {
    add_class(w.classes[0], limited, data, out);
  } else {
    out["classes"] = json::array();
    for (std::size_t i = 0; i < w.classes.size(); ++i) {
      const WorkloadClass& c = w.classes[i];
      json item = {{"name", c.name}, {"weight", c.weight}};
      if (c.priority != 0) item["priority"] = c.priority;
      add_class(c, limited, data, item);
      if (c.arrivals) item["arrivals"] = arrivals_json(*c.arrivals, data);
      const auto& domains = scenario.deployment.routing.domains;
      if (i < domains.size()) item["routing"] = class_popularity_json(domains[i].popularity, data);
      out["classes"].push_back(std::move(item));
    }
  }
  out["requests"] = w.requests;
  out["warmup_requests"] = w.warmup_requests;
  return out;
}

json routing_json(const DeploymentConfig& d, const DataRoot& data) {
  const RoutingConfig& r = d.routing;
  json out = popularity_json(r, data);
  out["noise"] = r.noise;
  out["collapsed"] = r.collapsed;
  out["locality"] = {{"copy", r.locality.copy}, {"decay", r.locality.decay}, {"reach", r.locality.reach}, {"kept", r.locality.kept}};
  if (r.drift.on()) out["drift"] = {{"period", time_text(r.drift.period)}, {"correlation", r.drift.correlation}};
  if (r.capacity_factor > 0) {
    out["capacity_factor"] = r.capacity_factor;
    out["overflow"] = r.overflow == Overflow::kDrop ? "drop" : "reroute";
  }
  const PlacementConfig& p = d.placement;
  out["placement"] = p.kind == PlacementKind::kContiguous ? "contiguous" : p.kind == PlacementKind::kBalanced ? "balanced" : "hierarchical";
  if (p.kind != PlacementKind::kContiguous) out["redundant_experts"] = p.redundant_experts;
  if (!p.tuned_on.source.empty()) out["tuned_on"] = data.display(p.tuned_on.source);
  if (p.rebalance.on()) out["rebalance"] = {{"period", time_text(p.rebalance.period)}, {"window", time_text(p.rebalance.window)}};
  return out;
}

json lora_json(const LoraSpec& lora) {
  json targets = json::array();
  if (lora.attention) targets.push_back("attention");
  if (lora.dense_ffn) targets.push_back("dense_ffn");
  if (lora.shared_experts) targets.push_back("shared_experts");
  if (lora.experts) targets.push_back("experts");
  return {{"rank", lora.rank}, {"resident", lora.resident}, {"targets", targets}};
}

json offload_json(const OffloadConfig& o) {
  return {{"resident_share", o.resident_share},
          {"cache", to_string(o.cache)},
          {"prefetch_hit_rate", o.prefetch_hit_rate},
          {"cpu_execution", o.cpu_execution},
          {"link", fmt::format("{} B/s", o.link)},
          {"cpu_bandwidth", fmt::format("{} B/s", o.cpu_bandwidth)}};
}

json scheduler_json(const Scenario& scenario) {
  const SchedulerConfig& s = scenario.deployment.scheduler;
  return {{"max_batch_requests", s.max_batch_requests},
          {"max_batch_tokens", s.max_batch_tokens},
          {"chunked_prefill", s.chunked_prefill},
          {"prefill_mode", to_string(s.prefill_mode)},
          {"kv_block_tokens", s.kv_block_tokens},
          {"memory_fraction", s.memory_fraction},
          {"admission_output_reserve", s.admission_output_reserve},
          {"prefix_caching", s.prefix_caching},
          {"max_context", s.max_context > 0 ? s.max_context : scenario.deployment.model.max_context},
          {"runtime_reserve", fmt::format("{} B", scenario.deployment.engine.runtime_reserve.value())},
          {"router", to_string(scenario.router)}};
}

json uncertainty_json(const UncertaintySpec& spec) {
  json out = {{"samples", spec.samples}, {"level", spec.level}};
  const auto add = [&out](const char* key, const std::optional<Range>& range) {
    if (range) out[key] = *range;
  };
  if (spec.rate) out["rate"] = {fmt::format("{} /s", (*spec.rate)[0]), fmt::format("{} /s", (*spec.rate)[1])};
  add("load_factor", spec.load_factor);
  add("prompt_tokens_factor", spec.prompt_tokens_factor);
  add("output_tokens_factor", spec.output_tokens_factor);
  add("routing_sigma", spec.routing_sigma);
  return out;
}

json parallel_json(const ParallelLayout& layout) {
  return {{"tensor", layout.tensor}, {"pipeline", layout.pipeline}, {"expert", layout.expert}, {"attention_data", layout.attention_data}};
}

json cluster_json(const ClusterSpec& c) {
  return {{"node", c.node.id}, {"gpu", c.gpu.id}, {"nodes", c.nodes}, {"gpus", c.gpus}, {"peer_to_peer", c.node.peer_to_peer}};
}

json network_json(const FabricConfig& fabric) {
  return {{"kind", to_string(fabric.kind)}, {"oversubscription", fabric.oversubscription}, {"leaf_nodes", fabric.nodes_per_leaf}};
}

/// The decode pool is the scenario's deployment; `replicas` moves into the pools.
void resolve_pools(const Scenario& scenario, json& deployment) {
  const DisaggregationSpec& spec = *scenario.disaggregation;
  const auto pool = [&](const DeploymentConfig& d, int replicas) {
    const SchedulerConfig& s = d.scheduler;
    json out = {{"replicas", replicas},
                {"parallel", parallel_json(d.layout)},
                {"scheduler",
                 {{"max_batch_requests", s.max_batch_requests},
                  {"max_batch_tokens", s.max_batch_tokens},
                  {"chunked_prefill", s.chunked_prefill},
                  {"prefill_mode", to_string(s.prefill_mode)},
                  {"kv_block_tokens", s.kv_block_tokens},
                  {"memory_fraction", s.memory_fraction},
                  {"admission_output_reserve", s.admission_output_reserve}}}};
    resolve_scheduling(d.features, s, out["scheduler"]);
    if (spec.own_cluster) out["cluster"] = cluster_json(d.cluster);
    if (spec.fabric) out["cluster"]["network"] = network_json(d.cluster.fabric);
    return out;
  };
  deployment.erase("replicas");
  deployment["disaggregation"] = {{"prefill", pool(spec.prefill, spec.prefill_replicas)},
                                  {"decode", pool(scenario.deployment, scenario.replicas)},
                                  {"overlap", spec.layerwise ? "layerwise" : "after"},
                                  {"latency", fmt::format("{} ms", spec.latency.value() * 1e3)},
                                  {"stay_below_tokens", spec.stay_below_tokens}};
}

json objectives_json(const Scenario& scenario) {
  json out = objective_bounds(scenario.objectives);
  for (const auto& [name, objectives] : scenario.class_objectives) out["classes"][name] = objective_bounds(objectives);
  return out;
}

/// Prices of both pools, each by its own GPU or node.
void resolve_prefill_price(const Scenario& scenario, json& cost) {
  if (!scenario.disaggregation || !scenario.disaggregation->cost) return;
  const ClusterSpec& decode = scenario.deployment.cluster;
  const ClusterSpec& prefill = scenario.disaggregation->prefill.cluster;
  const CostSpec& other = *scenario.disaggregation->cost;
  if (cost.contains("rental") && other.rental_usd_per_gpu_hour) {
    const json own = cost["rental"];
    cost["rental"] = {{"prices", {{decode.gpu.id, own}, {prefill.gpu.id, fmt::format("{} USD/h", *other.rental_usd_per_gpu_hour)}}}};
  }
  if (cost.contains("owned") && other.owned) {
    const json own = cost["owned"]["capex"];
    cost["owned"]["capex"] = {{decode.node.id, own}, {prefill.node.id, fmt::format("{} USD", other.owned->capex_usd)}};
  }
}

json cost_json(const CostSpec& cost) {
  json out = json::object();
  if (cost.rental_usd_per_gpu_hour) out["rental"] = fmt::format("{} USD/h", *cost.rental_usd_per_gpu_hour);
  if (cost.owned) {
    const OwnedCost& o = *cost.owned;
    out["owned"] = {{"capex", fmt::format("{} USD", o.capex_usd)}, {"years", o.years}, {"interest", o.interest}, {"resale", o.resale}};
    if (o.network_usd > 0) out["owned"]["network"] = fmt::format("{} USD", o.network_usd);
    if (o.rack_usd_per_hour > 0) out["owned"]["rack"] = fmt::format("{} USD/h", o.rack_usd_per_hour);
  }
  if (out.empty() && !cost.api) return out;
  const PowerSpec& p = cost.power;
  out["power"] = {{"pue", p.pue}};
  if (p.usd_per_kwh > 0) out["power"]["price"] = fmt::format("{} USD/kWh", p.usd_per_kwh);
  for (const auto& [key, watts] : {std::pair{"gpu_idle", p.gpu_idle_w}, {"gpu_load", p.gpu_load_w}, {"host_idle", p.host_idle_w}, {"host_load", p.host_load_w}}) {
    if (watts) out["power"][key] = fmt::format("{} W", *watts);
  }
  if (cost.staff > 0) out["staff"] = cost.staff;
  if (cost.api) {
    out["api"] = {{"input", fmt::format("{} USD/Mtok", cost.api->input_usd_per_million)},
                  {"output", fmt::format("{} USD/Mtok", cost.api->output_usd_per_million)},
                  {"source", cost.api->source}};
  }
  return out;
}

}  // namespace

json resolved_scenario_json(const Scenario& scenario, const DataRoot& data) {
  const DeploymentConfig& d = scenario.deployment;
  json out;
  out["name"] = scenario.name;
  out["model"] = d.model.id;
  out["cluster"] = {{"node", d.cluster.node.id}, {"gpu", d.cluster.gpu.id}, {"nodes", d.cluster.nodes}, {"gpus", d.cluster.gpus}, {"peer_to_peer", d.cluster.node.peer_to_peer}};
  const bool between = scenario.disaggregation && scenario.disaggregation->fabric;
  if (between || d.cluster.nodes > 1) out["cluster"]["network"] = network_json(between ? *scenario.disaggregation->fabric : d.cluster.fabric);
  json& deployment = out["deployment"];
  deployment["engine"] = d.engine.id;
  deployment["replicas"] = scenario.replicas;
  deployment["parallel"] = {{"tensor", d.layout.tensor},
                            {"pipeline", d.layout.pipeline},
                            {"expert", d.layout.expert},
                            {"attention_data", d.layout.attention_data}};
  deployment["precision"] = {{"weights", to_string(d.precision.weights)},
                             {"experts", to_string(d.precision.experts)},
                             {"kv_cache", to_string(d.precision.kv_cache)},
                             {"embeddings", to_string(d.precision.embeddings)}};
  deployment["scheduler"] = scheduler_json(scenario);
  if (!scenario.disaggregation) resolve_scheduling(d.features, d.scheduler, deployment["scheduler"]);
  resolve_serving_features(d.features, deployment);
  deployment["cost_profile"] = d.cost_profile.empty() ? "datasheet" : data.display(d.cost_profile);
  if (d.layout.attention_data > 1) {
    deployment["expert_communication"] = to_string(d.engine.expert_comm);
    deployment["overlap"] = {{"two_batch", d.engine.overlap.two_batch}, {"shared_expert", d.engine.overlap.shared_expert}};
  }
  if (d.offload) deployment["offload"] = offload_json(*d.offload);
  if (scenario.disaggregation) resolve_pools(scenario, deployment);
  if (d.lora) deployment["lora"] = lora_json(*d.lora);
  if (scenario.fleet) {
    if (!scenario.disaggregation) deployment["replicas"] = scenario.fleet->first_replicas;
    deployment["fleet"] = fleet_json(*scenario.fleet);
  }
  if (scenario.failures) out["failures"] = failures_json(*scenario.failures);
  for (const Scenario& other : scenario.others) {
    json entry = resolved_scenario_json(other, data);
    for (const char* shared : {"cluster", "cost", "failures", "seed"}) entry.erase(shared);
    out["deployments"].push_back(std::move(entry));
  }
  if (d.model.is_moe()) out["routing"] = routing_json(d, data);
  out["workload"] = workload_json(scenario, data);
  if (!scenario.objectives.empty() || !scenario.class_objectives.empty()) out["objectives"] = objectives_json(scenario);
  if (json cost = cost_json(scenario.cost); !cost.empty()) {
    resolve_prefill_price(scenario, cost);
    out["cost"] = std::move(cost);
  }
  if (scenario.uncertainty) out["uncertainty"] = uncertainty_json(*scenario.uncertainty);
  if (scenario.quality) {
    out["quality"] = {{"score", scenario.quality->score}, {"benchmark", scenario.quality->benchmark}, {"source", scenario.quality->source}};
  }
  out["seed"] = scenario.seed;
  return out;
}

}  // namespace moeplan
