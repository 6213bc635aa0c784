#include "study/unused_keys.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <tuple>

#include "input/json_reader.hpp"
#include "study/scenario.hpp"
#include "study/scenario_network.hpp"

namespace moeplan {

namespace {

class Finder {
 public:
  Finder(const Scenario& scenario, std::vector<std::string>& found) : scenario_(scenario), found_(found) {
    parts_.push_back(&scenario.deployment);
    if (scenario.disaggregation) parts_.push_back(&scenario.disaggregation->prefill);
  }

  void routing(const JsonReader& root) const;
  void precision(const JsonReader& root) const;
  void communication(const JsonReader& deployment) const;
  void cluster(const JsonReader& cluster) const;
  void scheduler(const JsonReader& scheduler) const;
  void prefix_cache(const JsonReader& deployment) const;
  void memory(const JsonReader& deployment) const;
  void fleet(const JsonReader& deployment) const;
  void speculation(const JsonReader& deployment) const;
  void failures(const JsonReader& root) const;
  void workload(const JsonReader& workload) const;

 private:
  void tell(const JsonReader& at, const std::string& why) const {
    found_.push_back(fmt::format("{} has no effect: {}", at.pointer(), why));
  }
  /// Of every pool.
  [[nodiscard]] bool any(const std::function<bool(const DeploymentConfig&)>& is) const {
    return std::any_of(parts_.begin(), parts_.end(), [&](const DeploymentConfig* d) { return is(*d); });
  }
  [[nodiscard]] const ModelSpec& model() const { return scenario_.deployment.model; }
  [[nodiscard]] bool queue_limited() const {
    return any([](const DeploymentConfig& d) { return d.scheduler.max_queued_requests > 0 || d.scheduler.max_queued_tokens > 0; });
  }
  [[nodiscard]] bool ordered(QueueOrder order) const {
    return any([&](const DeploymentConfig& d) { return d.scheduler.queue_order == order; });
  }
  void retry_after(const JsonReader& at) const {
    if (at.has("retry_after") && !queue_limited()) tell(at.at("retry_after"), "no queue has a limit (max_queued_requests, max_queued_tokens)");
  }
  void arrivals(const JsonReader& workload) const;
  void cold_start(const JsonReader& cold) const;
  /// Sequences that may decode at once on a replica that decodes.
  [[nodiscard]] int most_decoding() const { return scenario_.deployment.scheduler.max_batch_requests; }

  const Scenario& scenario_;
  std::vector<std::string>& found_;
  std::vector<const DeploymentConfig*> parts_;
};

void Finder::routing(const JsonReader& root) const {
  if (!root.has("routing")) return;
  const JsonReader routing = root.at("routing");
  const MoeSpec* moe = model().moe();
  if (moe == nullptr) return tell(routing, fmt::format("'{}' is a dense model", model().id));
  if (moe->soft_routing) return tell(routing, fmt::format("'{}' runs all experts on every token", model().id));
  const double factor = scenario_.deployment.routing.capacity_factor;
  if (factor * moe->top_k >= moe->experts) {
    tell(routing.at("capacity_factor"), fmt::format("{:g} x {} of {} experts per token is room for every token in each expert", factor, moe->top_k, moe->experts));
  }
  if (routing.has("rebalance") && !routing.has("drift") && scenario_.deployment.placement.tuned_on.layers.empty()) {
    tell(routing.at("rebalance"), "the popularity does not change (no drift) and the placement is tuned on it from the start (no tuned_on)");
  }
  if (any([](const DeploymentConfig& d) { return d.layout.expert > 1; })) return;
  const std::string why = "without expert parallelism (parallel.expert 1) every GPU holds a part of all experts";
  const PlacementConfig& placement = scenario_.deployment.placement;
  if (placement.redundant_experts > 0) {
    tell(routing.at("redundant_experts"), why + fmt::format("; the {} copies only take memory", placement.redundant_experts));
  } else if (placement.kind != PlacementKind::kContiguous) {
    tell(routing.at("placement"), why);
  }
  for (const char* key : {"tuned_on", "rebalance"}) {
    if (routing.has(key)) tell(routing.at(key), why);
  }
  if (routing.has("drift") && !scenario_.deployment.offload) tell(routing.at("drift"), why + ", so that it does not matter which ones are popular");
}

void Finder::precision(const JsonReader& root) const {
  if (model().is_moe() || !root.has("deployment") || !root.at("deployment").has("precision")) return;
  const JsonReader precision = root.at("deployment").at("precision");
  const DeploymentPrecision& p = scenario_.deployment.precision;
  if (precision.has("experts") && p.experts != p.weights) tell(precision.at("experts"), fmt::format("'{}' is a dense model", model().id));
}

void Finder::communication(const JsonReader& deployment) const {
  const bool experts = model().is_moe();
  const bool copies = experts && any([](const DeploymentConfig& d) { return d.layout.attention_data > 1; });
  const std::string alone = experts ? "without attention data parallelism (parallel.attention_data 1) every GPU has all tokens, and none travel to experts"
                                    : fmt::format("'{}' is a dense model", model().id);
  if (deployment.has("expert_communication")) {
    const JsonReader at = deployment.at("expert_communication");
    const bool spread = any([](const DeploymentConfig& d) { return d.layout.expert > 1; });
    if (!copies) {
      tell(at, alone);
    } else if (!spread && deployment.string("expert_communication") != "all_gather_reduce_scatter") {
      tell(at, "without expert parallelism (parallel.expert 1) all tokens go to all GPUs");
    }
  }
  if (!deployment.has("overlap")) return;
  const JsonReader overlap = deployment.at("overlap");
  if (overlap.boolean("two_batch", false) && !copies) tell(overlap.at("two_batch"), alone);
  if (!overlap.boolean("shared_expert", false)) return;
  const MoeSpec* moe = model().moe();
  if (!copies) {
    tell(overlap.at("shared_expert"), alone);
  } else if (moe == nullptr || moe->shared_inter == 0) {
    tell(overlap.at("shared_expert"), fmt::format("'{}' has no shared experts", model().id));
  }
}

void Finder::cluster(const JsonReader& cluster) const {
  if (!cluster.has("network") || (scenario_.disaggregation && scenario_.disaggregation->own_cluster)) return;
  if (scenario_.deployment.cluster.nodes == 1) tell(cluster.at("network"), "the cluster is one node");
}

void Finder::scheduler(const JsonReader& scheduler) const {
  const ServingFeatures& features = scenario_.deployment.features;
  if (scheduler.has("queue_order") && scheduler.string("queue_order") == "longest_prefix" && !features.prefix_cache && features.policy != SchedulingPolicy::kSglang) {
    tell(scheduler.at("queue_order"), "without prefix_cache no prompt finds a prefix: requests are taken as they came");
  }
  // A policy changes more than the order of the queue.
  if (ordered(QueueOrder::kPriority) && scheduler.has("queue_order")) {
    const std::vector<WorkloadClass>& classes = scenario_.workload.classes;
    const bool same = std::all_of(classes.begin(), classes.end(), [&](const WorkloadClass& c) { return c.priority == classes.front().priority; });
    if (same) tell(scheduler.at("queue_order"), "all workload classes have the same priority");
  }
  if (!scheduler.has("router") || scenario_.router == RequestRouting::kRoundRobin) return;
  const bool one = scenario_.places() == 1 && (!scenario_.disaggregation || scenario_.disaggregation->prefill_replicas == 1);
  if (one) {
    tell(scheduler.at("router"), "there is one replica");
  } else if (scenario_.router == RequestRouting::kPrefixAware && !features.prefix_cache) {
    found_.push_back(scheduler.at("router").pointer() + ": without prefix_cache 'prefix_aware' routes as 'least_outstanding_tokens' does");
  }
}

void Finder::prefix_cache(const JsonReader& deployment) const {
  // Lower tiers also keep what preempted requests held.
  if (!scenario_.deployment.features.prefix_cache || deployment.has("kv_tiers")) return;
  const WorkloadConfig& w = scenario_.workload;
  const bool shares = w.arrivals.process == ArrivalProcess::kTrace ||
                      std::any_of(w.classes.begin(), w.classes.end(), [](const WorkloadClass& c) { return c.prefix.tokens > 0 || c.sessions.on; });
  if (!shares) tell(deployment.at("prefix_cache"), "no two prompts of this workload begin alike (prefix, sessions, a recorded trace); only preempted requests find their own");
}

void Finder::memory(const JsonReader& deployment) const {
  const DeploymentConfig& d = scenario_.deployment;
  if (d.lora) {
    const JsonReader lora = deployment.at("lora");
    if (d.lora->resident == 0) tell(lora, "no adapter is resident");
    const MoeSpec* moe = model().moe();
    if (d.lora->experts && moe == nullptr) tell(lora.at("targets"), fmt::format("'{}' is a dense model: there are no experts to adapt", model().id));
    if (d.lora->shared_experts && (moe == nullptr || moe->shared_inter == 0)) tell(lora.at("targets"), fmt::format("'{}' has no shared experts to adapt", model().id));
  }
  if (d.offload && !d.offload->cpu_execution && deployment.at("offload").has("cpu_bandwidth") && d.offload->cpu_bandwidth != kDefaultCpuBandwidth) {
    tell(deployment.at("offload").at("cpu_bandwidth"), "without cpu_execution no expert runs on the CPU");
  }
}

void Finder::fleet(const JsonReader& deployment) const {
  if (!scenario_.fleet) return;
  const FleetSpec& fleet = *scenario_.fleet;
  const JsonReader reader = deployment.at("fleet");
  const bool fails = scenario_.failures && scenario_.failures->on();
  if (!fleet.autoscaling && !fails) {
    if (fleet.spare_replicas > 0) tell(reader.at("spare_replicas"), "no node fails (failures): the places cost and are never used");
    if (reader.has("cold_start")) tell(reader.at("cold_start"), "without autoscaling and failures every replica serves from the beginning");
  }
  const auto& scaling = fleet.autoscaling;
  if (scaling && scaling->min_replicas == scaling->max_replicas) {
    tell(reader.at("autoscaling"), fmt::format("min_replicas and max_replicas are both {}", scaling->max_replicas));
    if (!fails) return;
  }
  if (reader.has("cold_start")) cold_start(reader.at("cold_start"));
}

void Finder::cold_start(const JsonReader& cold) const {
  const FleetSpec& fleet = *scenario_.fleet;
  const WeightBandwidths usual = default_fleet(scenario_.deployment.cluster.node, scenario_.replicas).bandwidths;
  // What a result repeats is stated as well.
  const auto stated = [&](const char* key, double value, double otherwise) { return cold.has(key) && value != otherwise; };
  const bool fails = scenario_.failures && scenario_.failures->on();
  if (fleet.source != WeightSource::kNetwork) {
    if (cold.has("store_bandwidth")) tell(cold.at("store_bandwidth"), "weights do not come over the network (weights_from)");
    if (stated("network_bandwidth", fleet.bandwidths.network, usual.network)) tell(cold.at("network_bandwidth"), "weights do not come over the network (weights_from)");
  } else if (stated("disk_bandwidth", fleet.bandwidths.disk, usual.disk)) {
    tell(cold.at("disk_bandwidth"), "weights come over the network (weights_from)");
  }
  // Where no replica serves, the first loads from disk.
  if (fleet.source != WeightSource::kPeer || fails || !fleet.autoscaling || fleet.autoscaling->min_replicas == 0) return;
  for (const auto& [key, value, otherwise] : {std::tuple{"disk_bandwidth", fleet.bandwidths.disk, usual.disk}, {"gpu_bandwidth", fleet.bandwidths.gpu, usual.gpu}}) {
    if (stated(key, value, otherwise)) tell(cold.at(key), "weights come from the GPUs of a replica that serves (weights_from), and one always does");
  }
}

void Finder::failures(const JsonReader& root) const {
  if (!scenario_.failures || !root.has("failures")) return;
  const JsonReader at = root.at("failures");
  const FailureConfig& f = *scenario_.failures;
  if (f.retries == 0 && at.has("back_off") && f.back_off.value() != FailureConfig{}.back_off.value()) tell(at.at("back_off"), "no request is tried again (retries 0)");
}

void Finder::speculation(const JsonReader& deployment) const {
  const auto& spec = scenario_.deployment.features.speculation;
  if (!spec) return;
  const JsonReader reader = deployment.at("speculation");
  const SpeculationConfig& c = spec->config;
  const std::string batch = fmt::format("no more than {} sequences decode at once (max_batch_requests)", most_decoding());
  if (c.most_sequences >= most_decoding()) tell(reader.at("most_sequences"), batch);
  if (c.crowded_above == 0) return;
  if (c.crowded_factor == 1) return tell(reader.at("crowded"), "a factor of 1 changes no chance");
  if (c.crowded_above >= most_decoding()) return tell(reader.at("crowded"), batch);
  if (c.most_sequences > 0 && c.crowded_above >= c.most_sequences) tell(reader.at("crowded"), fmt::format("above {} sequences nothing is drafted (most_sequences)", c.most_sequences));
}

void Finder::arrivals(const JsonReader& workload) const {
  const WorkloadConfig& w = scenario_.workload;
  if (!workload.has("arrivals")) return;
  const JsonReader at = workload.at("arrivals");
  if (std::all_of(w.classes.begin(), w.classes.end(), [](const WorkloadClass& c) { return c.arrivals.has_value(); })) {
    return tell(at, "every class has arrivals of its own");
  }
  retry_after(at);
  if (w.arrivals.process != ArrivalProcess::kTrace || !w.arrivals.repeat || !w.arrivals.trace) return;
  if (static_cast<double>(w.requests) <= static_cast<double>(w.arrivals.trace->rows) * w.arrivals.copies && !workload.has("requests")) {
    tell(at.at("repeat"), "the trace is long enough for all requests; state more `requests`");
  }
}

void Finder::workload(const JsonReader& workload) const {
  const WorkloadConfig& w = scenario_.workload;
  arrivals(workload);
  if (workload.has("sessions")) retry_after(workload.at("sessions"));
  if (w.arrivals.process == ArrivalProcess::kBatch && w.warmup_requests > 0) tell(workload.at("warmup_requests"), "of a batch all requests count");
  if (!workload.has("classes")) return;
  const std::vector<JsonReader> items = workload.at("classes").elements();
  for (std::size_t i = 0; i < items.size() && i < w.classes.size(); ++i) {
    const JsonReader& item = items[i];
    if (w.classes[i].priority != 0 && !ordered(QueueOrder::kPriority)) tell(item.at("priority"), "the scheduler has no priorities (queue_order \"priority\")");
    if (w.classes[i].arrivals && w.classes[i].weight != 1) tell(item.at("weight"), "the class has arrivals of its own");
    if (item.has("sessions")) retry_after(item.at("sessions"));
    if (item.has("routing") && !model().is_moe()) tell(item.at("routing"), fmt::format("'{}' is a dense model", model().id));
  }
}

}  // namespace

std::vector<std::string> unused_keys(const JsonReader& root, const Scenario& scenario) {
  std::vector<std::string> found;
  const Finder finder(scenario, found);
  finder.routing(root);
  finder.precision(root);
  finder.cluster(root.at("cluster"));
  if (root.has("deployment")) {
    const JsonReader deployment = root.at("deployment");
    finder.communication(deployment);
    if (deployment.has("scheduler")) finder.scheduler(deployment.at("scheduler"));
    finder.prefix_cache(deployment);
    finder.memory(deployment);
    finder.fleet(deployment);
    finder.speculation(deployment);
  }
  finder.failures(root);
  if (root.at("workload").value().is_object()) finder.workload(root.at("workload"));
  return found;
}

}  // namespace moeplan
