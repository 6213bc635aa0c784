// Everything the cost of a step is made of: a model cut over GPUs of one kind, run by an engine. Facts only; the formulas are elsewhere.
#pragma once

#include <cstdint>
#include <optional>

#include "calibration/kernel_costs.hpp"
#include "hardware/engine_profile.hpp"
#include "hardware/gpu_spec.hpp"
#include "hardware/node_spec.hpp"
#include "model/deployment.hpp"
#include "model/model_spec.hpp"
#include "routing/load_draws.hpp"
#include "routing/routing_epochs.hpp"

namespace moeplan {

enum class RoutingMode : std::uint8_t {
  kTabulated,  ///< one draw per step from tables of sampled steps
  kExact,      ///< every layer of every step is sampled: slow, proves the tables
};

class DeploymentCost;

/// Drafting and verifying in decode steps. The verification computes all drafted tokens and one more of every sequence at once: more tokens
/// meet the experts, the KV cache is read once. Left out: the products of the additional queries in attention.
struct DraftCost {
  int tokens = 0;                         ///< drafted per sequence and step; 0: no speculation
  int most_sequences = 0;                 ///< none are drafted when more sequences decode; 0: always
  double layers = 0;                      ///< of this model that each drafted token passes (an MTP head: one layer and the LM head)
  const DeploymentCost* model = nullptr;  ///< or the model that drafts, a decode step per token. REQUIRES: outlives the cost
  double model_context = 0;               ///< context at which its steps are timed

  [[nodiscard]] bool drafts(int sequences) const {
    return tokens > 0 && sequences > 0 && (most_sequences == 0 || sequences <= most_sequences);
  }
};

struct CostInputs {
  ModelSpec model;
  GpuSpec gpu;
  NodeSpec node;
  int nodes = 0;  ///< nodes that one replica spans; 0 = as few as hold its GPUs
  ParallelLayout layout;
  DeploymentPrecision precision;
  EngineProfile engine;
  const KernelCosts* kernels = nullptr;  ///< REQUIRES: outlives the cost
  const LoadSampler* sampler = nullptr;  ///< null for a dense model or soft routing; REQUIRES: outlives the cost, ranks() == layout.expert
  const LoadDraws* draws = nullptr;      ///< of `sampler`, to share with other deployments; null: own. REQUIRES: outlives the cost
  FabricConfig fabric{};                 ///< wiring between nodes
  std::optional<OffloadConfig> offload;  ///< experts in host memory; nothing: all on the GPUs
  RoutingLocality locality{};            ///< of neighbouring tokens, for the expert cache
  const RoutingEpochs* epochs = nullptr; ///< the routers over time, `draws` being their first epoch; null: they never change. REQUIRES: outlives the cost
  int redundant_experts = 0;             ///< slots beyond one per expert
  int max_batch_tokens = 8192;           ///< of one attention copy; sizes the workspace
  int max_batch_requests = 256;          ///< of one attention copy; sizes the logits
  RoutingMode routing = RoutingMode::kTabulated;
  std::uint64_t seed = 1;
  DraftCost draft;
};

/// Whether tokens travel to their experts' ranks (all-to-all). Otherwise every expert rank sees all tokens: tensor-parallel attention has
/// them anyway, data-parallel attention gathers them and reduces the outputs back.
inline bool dispatches(const CostInputs& in) {
  return in.layout.attention_data > 1 && in.layout.expert > 1 && in.engine.expert_comm != ExpertParallelComm::kAllGatherReduceScatter;
}

/// Smallest whole share of `count` things over `ways` ranks (the fullest rank's).
constexpr int share(int count, int ways) { return (count + ways - 1) / ways; }

}  // namespace moeplan
