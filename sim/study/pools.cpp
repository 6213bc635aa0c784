#include "study/pools.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

namespace {

constexpr int kMostWatched = 1024;  // GPUs; beyond that links are not watched

ServingPool make_pool(const PoolPart& part, RequestRouting routing) {
  ServingPool pool;
  pool.replicas = part.replicas;
  pool.replica = cluster_config(part.config, part.memory, part.replicas, routing).replica;
  pool.replica.kv_reuse = kv_reuse_config(part.config, part.memory, part.cost);
  pool.routing = routing;
  pool.gpus = part.config.layout.gpus();
  return pool;
}

PoolPart part_of(const Deployment& deployment, int replicas) {
  return {deployment.config(), deployment.memory().plan, deployment.cost(), replicas, deployment.config().cluster.nodes};
}

/// Bytes that a token's KV has once, in all layers: what different GPUs hold of it, not their copies.
double kv_bytes(const DeploymentConfig& config) {
  double bytes = 0;
  for (const LayerGroup& group : config.model.layers) bytes += kv_bytes_per_token(group.attention, config.precision.kv_cache, 1) * group.count;
  return bytes;
}

}  // namespace

std::vector<int> place_from(int replicas, int gpus, int per_node, bool align, int& next) {
  std::vector<int> first;
  for (int i = 0; i < replicas; ++i) {
    if (align && gpus <= per_node && next % per_node + gpus > per_node) next = (next / per_node + 1) * per_node;
    first.push_back(next);
    next += gpus;
  }
  return first;
}

ScenarioPools::ScenarioPools(const Scenario& scenario, const Deployment& prefill, const Deployment& decode, const PoolPlaces* places)
    : ScenarioPools(*scenario.disaggregation, scenario.router, part_of(prefill, scenario.disaggregation->prefill_replicas), part_of(decode, scenario.replicas)) {
  if (places != nullptr) {
    config_.prefill.first_gpu = places->prefill;
    config_.decode.first_gpu = places->decode;
    topology_.emplace(places->cluster);
  }
  if (!scenario.failures) return;
  const FleetSpec fleet = scenario.fleet.value_or(default_fleet(scenario.deployment.cluster.node, 1));
  const auto start = [&](const Deployment& d) {
    const MemorySummary& memory = d.memory();
    return ColdStart{fleet.start, (memory.weights.total() + memory.adapters + memory.draft) * d.config().layout.gpus(), fleet.source};
  };
  config_.failures = *scenario.failures;
  config_.bandwidths = places != nullptr ? places->bandwidths : fleet.bandwidths;
  config_.prefill.cold_start = start(prefill);
  config_.decode.cold_start = start(decode);
}

ScenarioPools::ScenarioPools(const DisaggregationSpec& spec, RequestRouting router, const PoolPart& prefill, const PoolPart& decode) {
  const RequestRouting routing = router == RequestRouting::kRoundRobin ? RequestRouting::kLeastOutstandingTokens : router;
  config_.prefill = make_pool(prefill, routing);
  config_.decode = make_pool(decode, routing);
  place(spec, prefill, decode);
  KvTransferConfig& transfer = config_.transfer;
  transfer.bytes_per_token = kv_bytes(decode.config);
  transfer.state_per_sequence = Bytes(static_cast<std::int64_t>(state_bytes_per_sequence(decode.config.model, 1)));
  transfer.layers = decode.config.model.layer_count();
  transfer.layerwise = spec.layerwise;
  transfer.latency = spec.latency;
  transfer.stay_below = spec.stay_below_tokens;
  if (spec.own_cluster) {
    const double port = decode.config.cluster.node.scale_out_bandwidth.value();
    transfer.limit = port * std::min(config_.prefill.gpus, config_.decode.gpus);
  }
}

void ScenarioPools::place(const DisaggregationSpec& spec, const PoolPart& prefill, const PoolPart& decode) {
  // One cluster, or two of like nodes beside each other on one network.
  ClusterSpec cluster = spec.own_cluster ? prefill.config.cluster : decode.config.cluster;
  cluster.nodes = spec.own_cluster ? prefill.nodes + decode.nodes : decode.nodes;
  if (spec.fabric) cluster.fabric = *spec.fabric;
  const int per_node = cluster.node.gpus;
  int next = 0;
  for (const bool align : {true, false}) {
    next = 0;
    config_.prefill.first_gpu = place_from(config_.prefill.replicas, config_.prefill.gpus, per_node, align, next);
    if (spec.own_cluster) next = prefill.nodes * per_node;
    config_.decode.first_gpu = place_from(config_.decode.replicas, config_.decode.gpus, per_node, align, next);
    if (next <= cluster.nodes * per_node) break;
  }
  // A decode pool on nodes of more GPUs than the prefill pool's.
  cluster.nodes = std::max(cluster.nodes, (next + per_node - 1) / per_node);
  cluster.gpus = cluster.nodes * per_node;
  topology_.emplace(cluster);
  config_.topology = &*topology_;
}

PoolNetworkMetrics pool_network(const DisaggregatedConfig& config) {
  const bool watch = config.topology->gpus() <= kMostWatched;
  return PoolNetworkMetrics({PoolPlace{config.prefill.first_gpu, config.prefill.gpus}, PoolPlace{config.decode.first_gpu, config.decode.gpus}},
                            watch ? config.topology : nullptr);
}

PoolMetrics pool_metrics(const Scenario& scenario, const Deployment& prefill, const Deployment& decode) {
  return PoolMetrics({scenario.disaggregation->prefill_replicas, scenario.replicas},
                     {prefill.kv_room(), decode.kv_room()}, scenario.disaggregation->stay_below_tokens);
}

PoolsSummary summarise_pools(const Scenario& scenario, const PoolMetrics& seen, std::uint64_t completed) {
  const auto one = [](const DeploymentConfig& d, int replicas, const StepMetrics& steps) {
    PoolSummary pool;
    pool.gpu = d.cluster.gpu.id;
    pool.replicas = replicas;
    pool.gpus_per_replica = d.layout.gpus();
    pool.busy = steps.mean_utilisation();
    pool.kv_cache = steps.mean_kv_utilisation();
    pool.mean_batch = steps.mean_running();
    pool.steps = steps.steps();
    const double seconds = steps.decode().seconds + steps.prefill().seconds;
    pool.step_mean_s = pool.steps > 0 ? seconds / static_cast<double>(pool.steps) : 0.0;
    return pool;
  };
  PoolsSummary s;
  s.prefill = one(scenario.disaggregation->prefill, scenario.disaggregation->prefill_replicas, seen.prefill());
  s.decode = one(scenario.deployment, scenario.replicas, seen.decode());
  s.transfers = seen.wait().count();
  // What is sent again after a failure is sent and computed again.
  s.stayed = seen.stayed();
  s.ended_in_prefill = seen.ended()[0];
  s.prefill.requests = seen.ended()[0] + s.transfers;
  s.decode.requests = seen.ended()[1];
  MOEPLAN_CHECK(seen.ended()[0] + seen.ended()[1] == completed);
  s.bytes = seen.bytes().as_double();
  s.hidden_bytes = seen.hidden().as_double();
  if (s.transfers > 0) {
    s.wait_mean_s = seen.wait().mean();
    s.wait_p99_s = seen.wait().quantile(0.99);
    s.send_mean_s = seen.send().mean();
    s.send_p50_s = seen.send().quantile(0.5);
    s.send_p99_s = seen.send().quantile(0.99);
  }
  return s;
}

}  // namespace moeplan
