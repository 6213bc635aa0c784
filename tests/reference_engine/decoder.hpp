// One forward pass over a batch that mixes prompts and decodes: what a serving engine runs each step, on the processor.
#pragma once

#include <array>
#include <chrono>
#include <span>

#include "reference_engine/model.hpp"

namespace moeplan::reference {

/// Tokens of one sequence in a step: one when it decodes, a chunk of its prompt otherwise.
struct Slice {
  std::span<const std::int32_t> tokens;
  int position = 0;                      ///< of the first token; that many are in the cache
  const std::int32_t* blocks = nullptr;  ///< of the whole sequence, these tokens included
  bool samples = false;                  ///< the last token's logits are wanted
};

/// Where the time of a step goes; the parts that the cost model knows (dense FFN products count as kProducts).
enum class Operation : std::uint8_t { kProducts, kAttention, kExperts, kRouter, kElementwise, kHead };
inline constexpr int kOperations = 6;
using OperationSeconds = std::array<double, kOperations>;

struct StepResult {
  std::vector<std::int32_t> next;   ///< the most likely token of every slice that samples, in order
  double distinct_experts = 0;      ///< mean over the layers; 0 for dense
  OperationSeconds seconds{};
};

class Decoder {
 public:
  /// `blocks` blocks of 16 tokens per layer. REQUIRES: `model` outlives this; one thread calls it.
  Decoder(Model& model, int blocks);

  /// Slices that decode come first: they share one attention call.
  StepResult step(std::span<const Slice> slices);
  /// Logits of the sampled rows of the last step, [rows][vocab] in bf16.
  [[nodiscard]] std::span<const std::uint16_t> logits() const { return logits_; }
  /// Makes the products for every number of rows up to `tokens`, so that no step waits for code generation.
  void warm_up(int tokens);

 private:
  /// Books the time since the last call on `operation`.
  void book(Operation operation);
  void embed(std::span<const Slice> slices);
  void attention(int layer, std::span<const Slice> slices);
  void rotate_and_store(int layer, std::span<const Slice> slices);
  double feed_forward(int layer);
  void dense(const Model::Layer& layer);
  double mixture(const Model::Layer& layer);
  void sample(std::span<const Slice> slices, StepResult& result);
  [[nodiscard]] std::uint16_t* pool(int layer);

  Model& model_;
  std::size_t layer_elements_;
  bench::Buffer cache_;
  std::vector<float> cosines_, sines_;  ///< [position][head_dim / 2]
  int tokens_ = 0;
  std::vector<std::uint16_t> stream_, normed_, qkv_, queries_, attended_, delta_, inner_, active_, router_bits_, logits_;
  std::vector<float> router_logits_;
  std::vector<bench::PagedSequence> decodes_;
  bench::Routing routing_;
  OperationSeconds booked_{};
  std::chrono::steady_clock::time_point last_;
};

}  // namespace moeplan::reference
