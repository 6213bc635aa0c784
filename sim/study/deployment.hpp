// One replica's deployment, built bottom-up from its parts: kernel times, expert routing, step cost, memory. What a simulation runs on.
#pragma once

#include <cstdint>
#include <memory>

#include "calibration/kernel_library.hpp"
#include "cost/deployment_cost.hpp"
#include "metrics/step_metrics.hpp"
#include "model/weights.hpp"
#include "routing/load_draws.hpp"
#include "serving/cluster.hpp"
#include "serving/memory_plan.hpp"
#include "study/scenario.hpp"

namespace moeplan {

/// Memory of the fullest GPU.
struct MemorySummary {
  MemoryPlan plan;
  WeightBytes weights;  ///< by component
  Bytes adapters{0};    ///< resident LoRA adapters
  Bytes draft{0};       ///< MTP head or drafting model
  ParameterCount parameters;
  /// Where windows or constant states make a long sequence cheaper per token: what a replica holds in sequences of the longest context, in tokens, while
  /// plan.kv_capacity_tokens is that of short ones. 0: every token takes the same.
  std::int64_t kv_capacity_longest = 0;
};

/// What the deployments of one study share: kernel times and expert routing, each prepared on first use. Any number of threads may use one.
struct StudyLibraries {
  KernelLibrary kernels;
  RoutingLibrary routing;
};

/// Whether prompts can share KV blocks of this layout: windowed and constant-state layers keep no block that another prompt could use.
bool caches_prefixes(const KvLayout& layout);

/// Memory alone: no step cost is built.
MemorySummary plan_deployment_memory(const DeploymentConfig& config);

/// What serving needs of `config` with that memory. REQUIRES: memory.fits.
ClusterConfig cluster_config(const DeploymentConfig& config, const MemoryPlan& memory, int replicas, RequestRouting routing);

/// Prefix cache and tiers of such a replica.
KvReuseConfig kv_reuse_config(const DeploymentConfig& config, const MemoryPlan& memory, const DeploymentCost& cost);

/// Owns its parts; immutable once built, usable from any number of threads.
class Deployment {
 public:
  explicit Deployment(const DeploymentConfig& config, RoutingMode mode = RoutingMode::kTabulated);
  /// Shares what it rests on with other deployments; the results are the same. REQUIRES: `shared` outlives this.
  Deployment(const DeploymentConfig& config, StudyLibraries& shared, RoutingMode mode = RoutingMode::kTabulated);
  Deployment(const Deployment&) = delete;
  Deployment& operator=(const Deployment&) = delete;

  [[nodiscard]] const DeploymentConfig& config() const { return config_; }
  [[nodiscard]] const DeploymentCost& cost() const { return *cost_; }
  [[nodiscard]] const MemorySummary& memory() const { return memory_; }
  /// Where windows, constant states or shared prefixes make tokens differ in what they take, bytes.
  [[nodiscard]] StepMetrics::KvRoom kv_room() const;
  /// What serving needs. REQUIRES: memory().plan.fits.
  [[nodiscard]] ClusterConfig cluster(int replicas, RequestRouting routing) const;

 private:
  [[nodiscard]] KvReuseConfig kv_reuse() const;
  DeploymentConfig config_;
  std::unique_ptr<StudyLibraries> own_;  ///< null when shared
  MemorySummary memory_;
  std::unique_ptr<DeploymentConfig> draft_config_;  ///< of a drafting model
  std::unique_ptr<DeploymentCost> draft_cost_;
  std::unique_ptr<DeploymentCost> cost_;
};

}  // namespace moeplan
