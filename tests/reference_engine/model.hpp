// A small decoder with random weights: grouped-query attention with rotary positions, gated FFN or a mixture of experts, RMS norms. Weights are made
// from the seed, tensor by tensor, so that a plain reference can make the same ones without keeping a copy.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "host/buffer.hpp"
#include "host/experts.hpp"
#include "host/attention.hpp"

namespace moeplan::reference {

struct ModelConfig {
  int layers = 2, hidden = 64, heads = 4, kv_heads = 2, head_dim = 16;
  int inter = 64;       ///< of the dense FFN, or of one expert
  int experts = 0;      ///< 0: dense
  int top_k = 0;
  int vocab = 64;
  std::uint64_t seed = 1;

  [[nodiscard]] int qkv() const { return (heads + 2 * kv_heads) * head_dim; }
  [[nodiscard]] bench::AttentionHeads attention() const { return {heads, kv_heads, head_dim}; }
};

enum class Tensor : std::uint8_t { kEmbedding, kQkv, kOutput, kRouter, kGateUp, kDown, kHead };

/// Plain values [outputs][inputs], exact in bf16; `expert` counts within a layer (0 for dense). Norm weights are all one.
std::vector<float> plain_weights(const ModelConfig& config, Tensor tensor, int layer = 0, int expert = 0);

/// Packed weights and the products that read them. Products are shared by the layers; one thread drives them.
class Model {
 public:
  explicit Model(const ModelConfig& config);

  struct Layer {
    bench::Buffer qkv, output, router, ffn;  ///< ffn: dense gate_up then down, or all experts
  };
  [[nodiscard]] const ModelConfig& config() const { return config_; }
  [[nodiscard]] const std::uint16_t* embedding(int token) const { return embedding_.data() + static_cast<std::ptrdiff_t>(token) * config_.hidden; }
  [[nodiscard]] const Layer& layer(int i) const { return layers_[static_cast<std::size_t>(i)]; }
  [[nodiscard]] const bench::Buffer& head() const { return head_; }
  [[nodiscard]] std::size_t weight_bytes() const;

  bench::MatrixProduct qkv_product, output_product, router_product, gate_up_product, down_product, head_product;
  std::unique_ptr<bench::ExpertLayer> experts;  ///< null for a dense model

  /// Where the dense down-projection begins in Layer::ffn.
  [[nodiscard]] std::size_t down_offset() const { return down_offset_; }

 private:
  void pack_layer(int index);
  ModelConfig config_;
  std::size_t down_offset_;
  std::vector<std::uint16_t> embedding_;
  std::vector<Layer> layers_;
  bench::Buffer head_;
};

}  // namespace moeplan::reference
