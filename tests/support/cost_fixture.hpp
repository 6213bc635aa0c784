// A GPU, node, engine and models with round numbers, and what one needs to build a step cost of them.
#pragma once

#include <memory>

#include "calibration/kernel_costs.hpp"
#include "cost/cost_inputs.hpp"
#include "routing/load_sampler.hpp"

namespace moeplan::test {

/// 3 TB/s, 1 PFLOP/s bf16, 2 PFLOP/s fp8, 400 GB/s of scale-up.
inline GpuSpec round_gpu() {
  GpuSpec gpu;
  gpu.id = gpu.name = "round";
  gpu.vendor = "test";
  gpu.architecture = "Hopper";
  gpu.memory = Bytes(80'000'000'000);
  gpu.memory_bandwidth = BytesPerSecond(3e12);
  gpu.dense.bf16 = gpu.dense.fp16 = FlopsPerSecond(1e15);
  gpu.dense.fp8 = FlopsPerSecond(2e15);
  gpu.scale_up_type = "NVLink4+NVSwitch";
  gpu.scale_up_bandwidth = BytesPerSecond(400e9);
  gpu.pcie_bandwidth = BytesPerSecond(50e9);
  gpu.l2_cache = Bytes(50'000'000);
  gpu.multiprocessors = 132;
  return gpu;
}

/// Eight of them behind a switch, 50 GB/s of scale-out per GPU.
inline NodeSpec round_node() {
  NodeSpec node;
  node.id = "round-8";
  node.gpu = "round";
  node.gpus = 8;
  node.topology = ScaleUpTopology::kSwitch;
  node.scale_up_bandwidth = BytesPerSecond(400e9);
  node.scale_out_bandwidth = BytesPerSecond(50e9);
  node.pcie_bandwidth = BytesPerSecond(50e9);
  return node;
}

/// No host time, no multipliers: the kernels alone.
inline EngineProfile bare_engine() {
  EngineProfile engine;
  engine.id = "bare";
  engine.host_per_step = engine.host_per_sequence = engine.host_per_layer = engine.request_latency = Seconds(0);
  engine.all_reduce = {"nccl"};
  return engine;
}

inline AttentionSpec grouped_query(int heads, int kv_heads, int head_dim) {
  AttentionSpec a;
  a.heads = heads;
  a.kv_heads = kv_heads;
  a.head_dim = a.v_head_dim = head_dim;
  return a;
}

/// 32 layers of width 4096, 32 heads, 8 KV heads, FFN 14336, 32,000 words.
inline ModelSpec dense_model() {
  ModelSpec model;
  model.id = model.name = "dense";
  model.hidden = 4096;
  model.vocab = 32000;
  model.max_context = 131072;
  LayerGroup layer;
  layer.count = 32;
  layer.attention = grouped_query(32, 8, 128);
  layer.dense_inter = 14336;
  model.layers = {layer};
  return model;
}

/// The same with `experts` experts of `inter`, `top_k` of which a token takes.
inline ModelSpec moe_model(int experts = 8, int top_k = 2, int inter = 14336) {
  ModelSpec model = dense_model();
  model.id = model.name = "moe";
  LayerGroup& layer = model.layers.front();
  layer.ffn = FfnKind::kMoe;
  layer.dense_inter = 0;
  layer.moe.experts = experts;
  layer.moe.top_k = top_k;
  layer.moe.expert_inter = inter;
  return model;
}

/// Three dense and 24 MoE layers (64 experts, 6 per token, shared expert) with latent attention.
inline ModelSpec latent_model() {
  ModelSpec model = moe_model(64, 6, 1408);
  model.id = model.name = "latent";
  model.hidden = 2048;
  AttentionSpec a;
  a.kind = AttentionKind::kMla;
  a.heads = a.kv_heads = 16;
  a.q_lora = 768;
  a.kv_lora = 512;
  a.qk_nope = 128;
  a.qk_rope = 64;
  a.head_dim = 192;
  a.v_head_dim = 128;
  LayerGroup sparse = model.layers.front();
  sparse.count = 24;
  sparse.attention = a;
  sparse.moe.shared_inter = 2816;
  LayerGroup dense;
  dense.count = 3;
  dense.attention = a;
  dense.dense_inter = 10944;
  model.layers = {dense, sparse};
  return model;
}

/// Owns what CostInputs points to.
struct CostBench {
  CostInputs inputs;
  std::unique_ptr<KernelCosts> kernels;
  std::unique_ptr<LoadSampler> sampler;

  explicit CostBench(ModelSpec model, ParallelLayout layout = {}, RoutingConfig routing = {}, GpuSpec gpu = round_gpu()) {
    inputs.model = std::move(model);
    inputs.gpu = std::move(gpu);
    inputs.node = round_node();
    inputs.layout = layout;
    inputs.engine = bare_engine();
    kernels = std::make_unique<KernelCosts>(KernelCosts::from_datasheet(inputs.gpu));
    inputs.kernels = kernels.get();
    const MoeSpec* moe = inputs.model.moe();
    if (moe != nullptr && !moe->soft_routing) {
      PlacementConfig placement;
      placement.ranks = layout.expert;
      sampler = make_load_sampler(*moe, inputs.model.moe_layer_count(), routing, placement, 7);
      inputs.sampler = sampler.get();
    }
  }
};

/// tensor, pipeline, expert, attention_data
inline ParallelLayout layout(int tensor, int pipeline, int expert, int attention_data) {
  return {.tensor = tensor, .pipeline = pipeline, .expert = expert, .attention_data = attention_data};
}

}  // namespace moeplan::test
