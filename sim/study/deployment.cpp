#include "study/deployment.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.hpp"
#include "cost/expert_offload.hpp"
#include "cost/workspace.hpp"
#include "model/lora.hpp"

namespace moeplan {

namespace {

/// Popularity and placement are drawn from a seed of their own: the same experts are hot in every run of a study, whatever its seed.
constexpr std::uint64_t kRoutingSeed = 1;

const KernelCosts& find_kernels(const DeploymentConfig& config, KernelLibrary& library) {
  return library.find(config.cluster.gpu, config.cost_profile, config.engine.kernel_preference, config.engine.all_reduce);
}

/// Null for a model without routers.
const RoutingEpochs* find_epochs(const DeploymentConfig& config, RoutingLibrary& library) {
  const MoeSpec* moe = config.model.moe();
  if (moe == nullptr || moe->soft_routing) return nullptr;
  PlacementConfig placement = config.placement;
  placement.ranks = config.layout.expert;
  if (placement.kind == PlacementKind::kHierarchical) placement.nodes = nodes_for(config.cluster.node, config.layout.gpus_per_stage());
  return &library.find_epochs(*moe, config.model.moe_layer_count(), config.routing, placement, kRoutingSeed);
}

CostInputs cost_inputs(const DeploymentConfig& config, const KernelCosts* kernels, const RoutingEpochs* epochs, RoutingMode mode) {
  CostInputs inputs;
  inputs.model = config.model;
  inputs.gpu = config.cluster.gpu;
  inputs.node = config.cluster.node;
  inputs.layout = config.layout;
  inputs.precision = config.precision;
  inputs.redundant_experts = config.placement.redundant_experts;
  inputs.engine = config.engine;
  inputs.kernels = kernels;
  inputs.draws = epochs != nullptr ? &epochs->draws(0) : nullptr;
  inputs.sampler = inputs.draws != nullptr ? &inputs.draws->sampler() : nullptr;
  inputs.epochs = epochs;
  inputs.fabric = config.cluster.fabric;
  inputs.offload = config.offload;
  inputs.locality = config.routing.locality;
  inputs.max_batch_tokens = config.scheduler.max_batch_tokens;
  inputs.max_batch_requests = config.scheduler.max_batch_requests;
  inputs.routing = mode;
  inputs.seed = kRoutingSeed;
  return inputs;
}

/// The drafting model on one GPU of the replica; null without one.
std::unique_ptr<DeploymentConfig> draft_config(const DeploymentConfig& config) {
  const auto& speculation = config.features.speculation;
  if (!speculation || !speculation->model) return nullptr;
  auto draft = std::make_unique<DeploymentConfig>(config);
  draft->model = *speculation->model;
  draft->layout = ParallelLayout{};
  draft->features = ServingFeatures{};
  draft->lora.reset();
  draft->placement = PlacementConfig{};
  if (const MoeSpec* moe = draft->model.moe()) draft->routing = default_routing(draft->model.family, *moe);
  return draft;
}

std::unique_ptr<DeploymentCost> make_cost(const DeploymentConfig& config, StudyLibraries& shared, RoutingMode mode, const DeploymentCost* draft = nullptr) {
  static constexpr double kDraftContext = 2048;
  CostInputs inputs = cost_inputs(config, &find_kernels(config, shared.kernels), find_epochs(config, shared.routing), mode);
  if (const auto& speculation = config.features.speculation) {
    inputs.draft = {static_cast<int>(speculation->config.acceptance.size()), speculation->config.most_sequences, speculation->mtp_layers, draft, kDraftContext};
  }
  return std::make_unique<DeploymentCost>(std::move(inputs));
}

/// Weights of the MTP head (an average layer and its input projection of two hidden states) or of the drafting model.
Bytes draft_weights(const DeploymentConfig& config, const WeightBytes& own) {
  const auto& speculation = config.features.speculation;
  if (!speculation) return Bytes(0);
  if (const auto draft = draft_config(config)) return weight_bytes_per_gpu(draft->model, draft->precision, draft->layout).total();
  const double layers = (own.total() - own.embedding - own.head).as_double() / config.model.layer_count() * config.layout.pipeline;
  return Bytes(static_cast<std::int64_t>(layers * speculation->mtp_layers));
}

/// KV bytes that drafting adds per token of context.
double draft_kv(const DeploymentConfig& config, double own) {
  const auto& speculation = config.features.speculation;
  if (!speculation) return 0;
  if (speculation->model) return kv_bytes_per_token(*speculation->model, config.precision.kv_cache, 1);
  return own * speculation->mtp_layers * config.layout.pipeline / config.model.layer_count();
}

/// Expert weights on the fullest GPU when the others lie in host memory: the resident ones of each layer and the staging buffers.
Bytes resident_experts(const DeploymentConfig& config, Bytes all) {
  const int local = share(config.model.moe()->experts, config.layout.expert);
  const int resident = config.offload->resident(local);
  if (resident == local) return all;
  const double staged = kStagedExperts * expert_bytes_per_gpu(cost_inputs(config, nullptr, nullptr, RoutingMode::kTabulated));
  return Bytes(static_cast<std::int64_t>(std::ceil(all.as_double() * resident / local + staged)));
}

/// KV bytes that one token adds on one rank, over the layers of `stage` that keep the whole context, or only a window of it.
struct KvDemand {
  double full = 0;
  double windowed = 0;
  std::int64_t window = 0;
};

KvDemand kv_demand(const DeploymentConfig& config, const PipelineStage& stage) {
  KvDemand demand;
  for (std::size_t i = 0; i < config.model.layers.size(); ++i) {
    ModelSpec part = config.model;
    part.layers = {config.model.layers[i]};
    part.layers[0].count = 1;
    const double bytes = kv_bytes_per_token(part, config.precision.kv_cache, config.layout.tensor) * stage.layers[i];
    const AttentionSpec& attention = config.model.layers[i].attention;
    const double near = windowed_kv_bytes_per_token(attention, config.precision.kv_cache, config.layout.tensor) * stage.layers[i];
    if (near > 0) demand.window = std::max<std::int64_t>(demand.window, attention.window);
    demand.windowed += near;
    if (near == 0 || attention.kind == AttentionKind::kCompressed) demand.full += bytes;
  }
  return demand;
}

}  // namespace

MemorySummary plan_deployment_memory(const DeploymentConfig& config) {
  MemorySummary memory;
  memory.parameters = count_parameters(config.model);
  memory.weights = weight_bytes_per_gpu(config.model, config.precision, config.layout);
  // Every rank holds as many replicas beside its experts.
  if (const MoeSpec* moe = config.model.moe(); moe != nullptr && config.placement.redundant_experts > 0) {
    const double slots = static_cast<double>(moe->experts + config.placement.redundant_experts) / moe->experts;
    memory.weights.experts = Bytes(static_cast<std::int64_t>(std::ceil(memory.weights.experts.as_double() * slots)));
  }
  if (config.offload) memory.weights.experts = resident_experts(config, memory.weights.experts);
  memory.draft = draft_weights(config, memory.weights);
  if (config.lora) memory.adapters = lora_bytes_per_gpu(config.model, *config.lora, config.layout);
  const Workspace workspace = workspace_bytes(cost_inputs(config, nullptr, nullptr, RoutingMode::kTabulated));
  std::vector<StageMemory> stages;
  for (const PipelineStage& stage : extreme_stages(config.model, config.layout.pipeline)) {
    const KvDemand kv = kv_demand(config, stage);
    StageMemory demand;
    demand.weights = memory.weights.total() + memory.adapters + memory.draft;
    demand.activations = workspace.activations + workspace.communication;
    demand.kv_bytes_per_token = kv.full + draft_kv(config, kv.full);
    demand.windowed_kv_bytes_per_token = kv.windowed;
    demand.window_tokens = kv.window;
    demand.state_bytes_per_sequence = state_bytes_per_sequence(config.model, config.layout.tensor) / config.layout.pipeline;
    stages.push_back(demand);
  }
  MemoryLimits limits;
  limits.capacity = config.cluster.gpu.memory;
  limits.runtime_reserve = config.engine.runtime_reserve;
  limits.formula = config.engine.memory_formula;
  limits.fraction = config.scheduler.memory_fraction;
  limits.block_tokens = config.scheduler.kv_block_tokens;
  limits.attention_data = config.layout.attention_data;
  memory.plan = plan_memory(stages, limits);
  const KvLayout& layout = memory.plan.kv_layout;
  if (memory.plan.fits && !caches_prefixes(layout) && layout.cost(1).value() > 0) {
    const std::int64_t context = config.scheduler.max_context > 0 ? config.scheduler.max_context : config.model.max_context;
    const std::int64_t sequences = memory.plan.kv_pool.value() / layout.cost(context).value();
    memory.kv_capacity_longest = sequences > 0 ? sequences * context : std::min(context, layout.tokens_in(memory.plan.kv_pool));
  }
  return memory;
}

Deployment::Deployment(const DeploymentConfig& config, RoutingMode mode)
    : config_(config), own_(std::make_unique<StudyLibraries>()), memory_(plan_deployment_memory(config_)), draft_config_(draft_config(config_)),
      draft_cost_(draft_config_ ? make_cost(*draft_config_, *own_, mode) : nullptr), cost_(make_cost(config_, *own_, mode, draft_cost_.get())) {}

Deployment::Deployment(const DeploymentConfig& config, StudyLibraries& shared, RoutingMode mode)
    : config_(config), memory_(plan_deployment_memory(config_)), draft_config_(draft_config(config_)),
      draft_cost_(draft_config_ ? make_cost(*draft_config_, shared, mode) : nullptr), cost_(make_cost(config_, shared, mode, draft_cost_.get())) {}

bool caches_prefixes(const KvLayout& layout) {
  return layout.window_blocks == KvLayout::kNoWindow && layout.sequence_state.value() == 0 && layout.block.value() > 0;
}

StepMetrics::KvRoom Deployment::kv_room() const {
  const MemoryPlan& plan = memory_.plan;
  const bool alike = caches_prefixes(plan.kv_layout) && !config_.features.prefix_cache;
  return {plan.kv_capacity_tokens, alike ? Bytes(0) : plan.kv_pool};
}

KvReuseConfig kv_reuse_config(const DeploymentConfig& config, const MemoryPlan& memory, const DeploymentCost& cost) {
  KvReuseConfig reuse;
  reuse.enabled = config.features.prefix_cache && caches_prefixes(memory.kv_layout);
  if (!reuse.enabled || !config.features.kv_tiers) return reuse;
  static constexpr std::int32_t kLongPrompt = 8192;
  const KvTiersConfig& tiers = *config.features.kv_tiers;
  // Every GPU keeps and fetches its own part of a block.
  reuse.host = tiers.host_memory * config.layout.attention_data;
  reuse.nvme = tiers.nvme * config.layout.attention_data;
  reuse.host_rate = tiers.host_bandwidth;
  reuse.nvme_rate = tiers.nvme_bandwidth;
  reuse.reload = tiers.reload;
  reuse.compute_per_token = Seconds(cost.lone_prefill(kLongPrompt, 0) / kLongPrompt);
  return reuse;
}

KvReuseConfig Deployment::kv_reuse() const { return kv_reuse_config(config_, memory_.plan, *cost_); }

ClusterConfig Deployment::cluster(int replicas, RequestRouting routing) const {
  ClusterConfig cluster = cluster_config(config_, memory_.plan, replicas, routing);
  cluster.replica.kv_reuse = kv_reuse();
  return cluster;
}

ClusterConfig cluster_config(const DeploymentConfig& config, const MemoryPlan& memory, int replicas, RequestRouting routing) {
  MOEPLAN_CHECK(memory.fits);
  ClusterConfig cluster;
  cluster.replicas = replicas;
  cluster.routing = routing;
  ReplicaConfig& replica = cluster.replica;
  replica.scheduler = config.scheduler;
  // Limits are per copy of attention: each has its own scheduler in the engines.
  replica.scheduler.max_batch_requests *= config.layout.attention_data;
  // Every micro-batch of a pipeline is scheduled by itself.
  replica.scheduler.max_batch_tokens *= config.layout.attention_data * config.layout.pipeline;
  replica.scheduler.prefill_group = config.layout.attention_data;
  if (replica.scheduler.max_context == 0) replica.scheduler.max_context = config.model.max_context;
  replica.kv_layout = memory.kv_layout;
  replica.kv_capacity = memory.kv_pool;
  if (config.features.speculation) replica.speculation = config.features.speculation->config;
  replica.request_latency = config.engine.request_latency;
  replica.request_per_token = config.engine.request_per_token;
  replica.request_per_stream = config.engine.request_per_stream;
  replica.stream_interval = config.engine.stream_interval;
  return cluster;
}

}  // namespace moeplan
