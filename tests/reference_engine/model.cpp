#include "reference_engine/model.hpp"

#include <cmath>

#include "suite/numerics.hpp"

namespace moeplan::reference {
namespace {

std::size_t size_of(std::int64_t n) { return static_cast<std::size_t>(n); }

struct Shape {
  int outputs, inputs;
};
Shape shape_of(const ModelConfig& c, Tensor tensor) {
  switch (tensor) {
    case Tensor::kEmbedding: return {c.vocab, c.hidden};
    case Tensor::kQkv: return {c.qkv(), c.hidden};
    case Tensor::kOutput: return {c.hidden, c.heads * c.head_dim};
    case Tensor::kRouter: return {c.experts, c.hidden};
    case Tensor::kGateUp: return {2 * c.inter, c.hidden};
    case Tensor::kDown: return {c.hidden, c.inter};
    case Tensor::kHead: break;
  }
  return {c.vocab, c.hidden};
}

/// Embeddings are of size one; products keep the size of what they multiply.
float scale_of(const ModelConfig& c, Tensor tensor) {
  if (tensor == Tensor::kEmbedding) return std::sqrt(3.0F);
  return std::sqrt(3.0F / static_cast<float>(shape_of(c, tensor).inputs));
}

bench::Buffer packed(const bench::MatrixProduct& product, const std::vector<float>& plain) {
  bench::Buffer buffer(product.packed_bytes());
  product.pack(plain, buffer.data());
  return buffer;
}

// A dense model has no router: its product stands unused.
int router_outputs(const ModelConfig& c) { return c.experts > 0 ? c.experts : 16; }

constexpr auto kFormat = bench::HostFormat::kBf16;

}  // namespace

std::vector<float> plain_weights(const ModelConfig& c, Tensor tensor, int layer, int expert) {
  const Shape shape = shape_of(c, tensor);
  std::vector<float> values(size_of(std::int64_t{shape.outputs} * shape.inputs));
  const float scale = scale_of(c, tensor);
  std::uint64_t state = ((c.seed * 64 + static_cast<std::uint64_t>(tensor)) * 4096 + static_cast<std::uint64_t>(layer)) * 4096 + static_cast<std::uint64_t>(expert);
  state *= 0x9e3779b97f4a7c15U;
  for (float& x : values) {
    std::uint64_t z = state += 0x9e3779b97f4a7c15U;  // splitmix64: billions of weights, no need for more
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    x = bench::from_bf16(bench::to_bf16(scale * static_cast<float>(static_cast<std::int32_t>(z >> 40) - (1 << 23)) * 0x1.0p-23F));
  }
  return values;
}

Model::Model(const ModelConfig& c)
    : qkv_product(c.qkv(), c.hidden, kFormat), output_product(c.hidden, c.heads * c.head_dim, kFormat), router_product(router_outputs(c), c.hidden, kFormat),
      gate_up_product(2 * c.inter, c.hidden, kFormat), down_product(c.hidden, c.inter, kFormat), head_product(c.vocab, c.hidden, kFormat), config_(c),
      down_offset_((gate_up_product.packed_bytes() + 4095) / 4096 * 4096) {
  if (c.experts > 0) experts = std::make_unique<bench::ExpertLayer>(bench::ExpertDims{c.hidden, c.inter, c.experts, c.top_k}, kFormat);
  for (const float x : plain_weights(c, Tensor::kEmbedding)) embedding_.push_back(bench::to_bf16(x));
  for (int i = 0; i < c.layers; ++i) pack_layer(i);
  head_ = packed(head_product, plain_weights(c, Tensor::kHead));
}

void Model::pack_layer(int index) {
  const ModelConfig& c = config_;
  Layer layer;
  layer.qkv = packed(qkv_product, plain_weights(c, Tensor::kQkv, index));
  layer.output = packed(output_product, plain_weights(c, Tensor::kOutput, index));
  if (c.experts > 0) {
    layer.router = packed(router_product, plain_weights(c, Tensor::kRouter, index));
    layer.ffn = bench::Buffer(experts->expert_bytes() * size_of(c.experts));
    for (int e = 0; e < c.experts; ++e) {
      experts->pack(plain_weights(c, Tensor::kGateUp, index, e), plain_weights(c, Tensor::kDown, index, e), layer.ffn.data() + size_of(e) * experts->expert_bytes());
    }
  } else {
    layer.ffn = bench::Buffer(down_offset_ + down_product.packed_bytes());
    gate_up_product.pack(plain_weights(c, Tensor::kGateUp, index), layer.ffn.data());
    down_product.pack(plain_weights(c, Tensor::kDown, index), layer.ffn.data() + down_offset_);
  }
  layers_.push_back(std::move(layer));
}

std::size_t Model::weight_bytes() const {
  std::size_t bytes = embedding_.size() * 2 + head_.size();
  for (const Layer& layer : layers_) bytes += layer.qkv.size() + layer.output.size() + layer.router.size() + layer.ffn.size();
  return bytes;
}

}  // namespace moeplan::reference
