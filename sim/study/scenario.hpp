// A scenario file, resolved: every catalogue id looked up, every default filled in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hardware/engine_profile.hpp"
#include "hardware/gpu_spec.hpp"
#include "hardware/node_spec.hpp"
#include "model/deployment.hpp"
#include "model/model_spec.hpp"
#include "model/lora.hpp"
#include "routing/routing_config.hpp"
#include "serving/cluster.hpp"
#include "study/cost_spec.hpp"
#include "study/data_root.hpp"
#include "study/fleet_spec.hpp"
#include "study/objective.hpp"
#include "study/serving_features.hpp"
#include "study/uncertainty_spec.hpp"
#include "workload/workload_config.hpp"

namespace moeplan {

class JsonReader;
struct JsonDocument;

/// One replica's deployment: everything that step times and memory depend on.
struct DeploymentConfig {
  ModelSpec model;
  ClusterSpec cluster;
  EngineProfile engine;
  ParallelLayout layout;
  DeploymentPrecision precision;
  SchedulerConfig scheduler;
  std::optional<LoraSpec> lora;
  ServingFeatures features;
  RoutingConfig routing;
  PlacementConfig placement;
  std::optional<OffloadConfig> offload;  ///< experts in host memory; nothing: all on the GPUs
  std::filesystem::path cost_profile;  ///< fitted profile; empty: datasheet peaks and generic fractions
};

/// How good the model's answers are, as the user states it: moeplan never does.
struct Quality {
  double score = 0;  ///< more is better, > 0
  std::string benchmark, source;
};

/// Prefill on replicas of its own; the scenario's deployment and replicas are then the decode pool.
struct DisaggregationSpec {
  DeploymentConfig prefill;
  int prefill_replicas = 1;
  bool own_cluster = false;  ///< the prefill pool has nodes of its own, on the same network
  std::optional<FabricConfig> fabric;  ///< between nodes of their own: as stated for all, else for one of the pools; nothing: the default
  bool layerwise = true;     ///< KV is sent layer by layer beside the prefill
  Seconds latency{0};        ///< of starting a transfer
  std::int32_t stay_below_tokens = 0;
  std::optional<CostSpec> cost;  ///< prices of the prefill pool's GPUs where they are others than the decode pool's; nothing: the scenario's
  int spare_gpus = 0;            ///< of a plan: those of Scenario::spare_gpus that are the prefill pool's
};

struct Scenario {
  std::string name;
  std::string file;  ///< as given
  DeploymentConfig deployment;
  int replicas = 1;
  int spare_gpus = 0;  ///< of a plan: paid for beside the replicas, idle
  bool spread = false; ///< of a plan's trial: replicas are dealt over the nodes in turn, not packed, so that a node that fails takes few of them
  std::optional<DisaggregationSpec> disaggregation;
  /// GPUs in use, of all pools.
  [[nodiscard]] int gpus() const {
    return replicas * deployment.layout.gpus() + (disaggregation ? disaggregation->prefill_replicas * disaggregation->prefill.layout.gpus() : 0);
  }
  std::optional<FleetSpec> fleet;          ///< with autoscaling, `replicas` is the most there may be
  std::optional<FailureConfig> failures;   ///< of nodes, under running requests; the same for all deployments of a cluster
  std::vector<Scenario> others;            ///< further deployments on the same cluster, in the same simulated time
  /// Whether replicas come and go, or share the cluster with others. Pools alone see to their failures themselves.
  [[nodiscard]] bool in_fleet() const { return ((fleet || failures) && !disaggregation) || !others.empty(); }
  /// Where replicas can be, spares included; of pools where they decode.
  [[nodiscard]] int places() const { return replicas + (fleet ? fleet->spare_replicas : 0); }
  /// GPUs of all places and pools.
  [[nodiscard]] int placed_gpus() const { return gpus() + (places() - replicas) * deployment.layout.gpus(); }
  RequestRouting router = RequestRouting::kRoundRobin;
  WorkloadConfig workload;
  std::vector<Objective> objectives;
  std::map<std::string, std::vector<Objective>> class_objectives;  ///< by name of the workload class; the scenario's, else the workload's
  CostSpec cost;
  std::optional<UncertaintySpec> uncertainty;  ///< ranges of what is to come; present: results get intervals
  std::optional<Quality> quality;
  std::uint64_t seed = 1;
  std::vector<std::string> warnings;           ///< what was accepted but should be known
  std::vector<std::filesystem::path> files;    ///< every file it rests on (its own first), for the provenance
};

/// Reads, checks and resolves a scenario file. Throws InputError with one line.
Scenario load_scenario(const std::filesystem::path& file, const DataRoot& data);

/// The same for a parsed document; relative paths are taken from `folder`.
Scenario resolve_scenario(const JsonDocument& document, const std::filesystem::path& folder, const DataRoot& data);

/// The same for the starting point of a search: whether its layout divides the model, its replicas have GPUs and its engine runs it is not asked.
Scenario resolve_starting_point(const JsonDocument& document, const std::filesystem::path& folder, const DataRoot& data);

/// Objectives of all requests, then those of single classes, whose keys become "CLASS.ttft_p99".
std::vector<Objective> all_objectives(const Scenario& scenario);

/// What a deployment asks of its engine.
EngineUse engine_use(const DeploymentConfig& deployment);

/// The KV-cache format of a deployment that states none: fp8 where the engine brings it with this checkpoint, else bf16.
Precision default_kv_cache(const EngineProfile& engine, const DeploymentPrecision& precision);

/// The fitted cost profile of a GPU when there is one, else an empty path.
std::filesystem::path default_cost_profile(const DataRoot& data, const std::string& gpu);

}  // namespace moeplan
