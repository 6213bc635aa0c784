#include "study/scenario_fleet.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "network/group_links.hpp"
#include "study/plan_words.hpp"
#include "study/run_result.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

constexpr int kMostGpus = 1024;  // beyond that links are not watched

std::vector<const Scenario*> deployments_of(const Scenario& scenario) {
  std::vector<const Scenario*> all{&scenario};
  for (const Scenario& other : scenario.others) all.push_back(&other);
  return all;
}

ClusterSpec whole(ClusterSpec cluster) {
  cluster.gpus = cluster.nodes * cluster.node.gpus;
  return cluster;
}

}  // namespace

namespace {

/// Replica i on node i modulo `nodes`.
std::vector<int> deal_out(int replicas, int gpus, int nodes, int per_node) {
  std::vector<int> first;
  for (int i = 0; i < replicas; ++i) first.push_back(i % nodes * per_node + i / nodes * gpus);
  return first;
}

}  // namespace

// A replica that fits a node straddles none while there is room for that.
void ScenarioFleet::place(const std::vector<const Scenario*>& deployments) {
  const int per_node = cluster_.node.gpus;
  const Scenario& own = *deployments.front();
  const int gpus = own.deployment.layout.gpus();
  if (own.spread && deployments.size() == 1 && (own.places() + cluster_.nodes - 1) / cluster_.nodes * gpus <= per_node) {
    first_gpu_ = {deal_out(own.places(), gpus, cluster_.nodes, per_node)};
    prefill_gpu_ = {{}};
    return;
  }
  for (const bool align : {true, false}) {
    first_gpu_.clear();
    prefill_gpu_.clear();
    int next = 0;
    for (const Scenario* s : deployments) {
      std::vector<int>& prefill = prefill_gpu_.emplace_back();
      if (const auto& pools = s->disaggregation) prefill = place_from(pools->prefill_replicas, pools->prefill.layout.gpus(), per_node, align, next);
      first_gpu_.push_back(place_from(s->places(), s->deployment.layout.gpus(), per_node, align, next));
    }
    if (next <= cluster_.gpus) return;
  }
}

ScenarioFleet::ScenarioFleet(const Scenario& scenario) : cluster_(whole(scenario.deployment.cluster)), topology_(cluster_) {
  const std::vector<const Scenario*> deployments = deployments_of(scenario);
  place(deployments);
  std::set<std::int32_t> seen;
  for (std::size_t k = 0; k < deployments.size(); ++k) {
    const int gpus = deployments[k]->deployment.layout.gpus();
    const bool watch = gpus > 1 && topology_.gpus() <= kMostGpus && !deployments[k]->disaggregation;
    links_.emplace_back(cluster_, watch ? first_gpu_[k] : std::vector<int>(), gpus);
    for (const GroupLinks& group : links_.back().groups()) {
      for (const LinkUse& use : group.between) shared_ |= !seen.insert(use.link).second;
    }
  }
  config_.topology = &topology_;
  const DeploymentConfig& d = scenario.deployment;
  config_.bandwidths = scenario.fleet.value_or(default_fleet(d.cluster.node, scenario.replicas)).bandwidths;
  if (scenario.failures) config_.failures = *scenario.failures;
}

FleetService ScenarioFleet::service(std::size_t k, const Scenario& scenario, const Deployment& deployment) const {
  FleetService service;
  service.replica = deployment.cluster(scenario.replicas, scenario.router).replica;
  service.routing = scenario.router;
  const FleetSpec fleet = scenario.fleet.value_or(default_fleet(scenario.deployment.cluster.node, scenario.replicas));
  service.replicas = fleet.first_replicas;
  service.autoscaling = fleet.autoscaling;
  const MemorySummary& memory = deployment.memory();
  service.gpus = scenario.deployment.layout.gpus();
  service.cold_start = {fleet.start, (memory.weights.total() + memory.adapters + memory.draft) * service.gpus, fleet.source};
  service.first_gpu = first_gpu_[k];
  if (shared_) {
    for (const GroupLinks& group : links_[k].groups()) service.collectives.push_back(group.between);
  }
  service.cost = &deployment.cost();
  return service;
}

FleetSummary summarise_fleet(const Scenario& scenario, const FleetMetrics& seen, std::uint64_t retries, std::uint64_t failed, double mean_utilisation) {
  FleetSummary s;
  const FleetReport& report = seen.report();
  s.autoscaled = scenario.fleet && scenario.fleet->autoscaling;
  s.fails = scenario.failures && scenario.failures->on();
  s.replicas_fixed = all_replicas(scenario);
  s.peak = report.peak_replicas;
  s.scale_ups = report.scale_ups;
  s.scale_downs = report.scale_downs;
  s.node_failures = report.node_failures;
  const double end = seen.end_seconds();
  const double gpus = static_cast<double>(scenario.placed_gpus()) / s.replicas_fixed;
  s.cold_starts = seen.starts();
  if (s.cold_starts > 0) s.cold_start_mean_s = seen.start_seconds() / static_cast<double>(s.cold_starts);
  s.unfinished_starts = seen.count(ReplicaPhase::kStarting) - s.cold_starts;
  s.fixed_gpu_hours = end * s.replicas_fixed * gpus / 3600;
  s.gpu_hours = s.autoscaled ? seen.held_seconds() * gpus / 3600 : s.fixed_gpu_hours;
  if (end > 0) {
    s.mean_serving = seen.seconds(ReplicaPhase::kServing) / end;
    s.mean_held = seen.held_seconds() / end;
  }
  if (s.gpu_hours > 0) s.busy = std::min(1.0, mean_utilisation * s.fixed_gpu_hours / s.gpu_hours);
  s.lost_requests = seen.lost_requests();
  s.retries = retries;
  s.failed = failed;
  s.lost_kv_tokens = seen.lost_kv_tokens();
  s.lost_output_tokens = seen.lost_output_tokens();
  s.over_time = seen.over_time();
  return s;
}

json fleet_section(const FleetSummary& f) {
  json out = {{"replicas", {{"mean_serving", f.mean_serving}, {"mean_held", f.mean_held}, {"peak", f.peak}, {"fixed", f.replicas_fixed}}},
              {"scale_ups", f.scale_ups},
              {"scale_downs", f.scale_downs},
              {"cold_starts", {{"count", f.cold_starts}, {"mean_s", f.cold_start_mean_s}}},
              {"gpu_hours", f.gpu_hours},
              {"fixed_gpu_hours", f.fixed_gpu_hours}};
  if (f.unfinished_starts > 0) out["cold_starts"]["unfinished"] = f.unfinished_starts;
  if (f.fails) {
    out["failures"] = {{"node_failures", f.node_failures},   {"lost_requests", f.lost_requests},   {"retries", f.retries},
                       {"failed_requests", f.failed},        {"lost_kv_tokens", f.lost_kv_tokens}, {"lost_output_tokens", f.lost_output_tokens}};
  }
  out["over_time"] = json::array();
  for (const FleetMetrics::Point& p : f.over_time) out["over_time"].push_back({{"at_s", p.at_s}, {"serving", p.serving}, {"held", p.held}});
  return out;
}

std::string fleet_text(const FleetSummary& f) {
  std::string text = "\nfleet\n";
  text += fmt::format("  {:.2f} replicas serving on average, {} at most, {}; ", f.mean_serving, f.peak, counted(f.replicas_fixed, "place"));
  text += f.cold_starts == 0 ? "none started" : fmt::format("{} started (in {:.0f} s{})", f.cold_starts, f.cold_start_mean_s, f.cold_starts > 1 ? " each" : "");
  if (f.unfinished_starts > 0) text += fmt::format(", {} more began and did not get there", f.unfinished_starts);
  if (f.autoscaled) text += fmt::format("; {} more, {} fewer", counted(static_cast<int>(f.scale_ups), "time"), counted(static_cast<int>(f.scale_downs), "time"));
  text += "\n";
  if (f.autoscaled) {
    text += fmt::format("  {:.1f} GPU-hours held, {:.0f} % of the {:.1f} of a fixed fleet of {}\n", f.gpu_hours, f.held_share() * 100, f.fixed_gpu_hours,
                        f.replicas_fixed);
  }
  if (f.fails) {
    text += fmt::format("  {} node {}: {} lost {} replica, {}, {} failed; {} KV tokens and {} output tokens lost\n", f.node_failures, f.node_failures == 1 ? "failure" : "failures",
                        counted(static_cast<int>(f.lost_requests), "request"), f.lost_requests == 1 ? "its" : "their", f.retries == 1 ? "1 retry" : fmt::format("{} retries", f.retries), f.failed, f.lost_kv_tokens, f.lost_output_tokens);
  }
  return text;
}

}  // namespace moeplan
