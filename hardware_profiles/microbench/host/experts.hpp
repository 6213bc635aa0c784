// The expert FFN of one layer on the processor: tokens permuted by expert, two products per touched expert, gated activation, weighted sum. Experts
// nobody chose are never read: that is the effect that makes a mixture cheaper than its size.
#pragma once

#include <vector>

#include "host/matrix_product.hpp"

namespace moeplan::bench {

struct ExpertDims {
  int hidden = 0, inter = 0, experts = 0, top_k = 0;
};

/// The choice of every token.
struct Routing {
  std::vector<int> experts;    ///< [tokens][top_k]
  std::vector<float> weights;  ///< [tokens][top_k]
};

/// Softmax over the top_k largest of `logits` [tokens][experts]; ties go to the lower expert.
void softmax_topk(int tokens, const ExpertDims& dims, const float* logits, Routing& routing);

/// Where each pair's row lies once rows are sorted by expert and every expert's rows are padded as the product wants them.
struct Permutation {
  std::vector<int> load;   ///< [experts] rows
  std::vector<int> start;  ///< [experts] first row
  std::vector<int> place;  ///< [tokens][top_k] row
  int rows = 0;            ///< padding included
};
void permute(int tokens, const ExpertDims& dims, const std::vector<int>& experts, Permutation& out);

/// Element-wise kernels in bf16 (std::uint16_t) or fp32. gate_up [rows][2 inter] -> out [rows][inter]: silu(gate) x up.
template <class Element>
void gated_activation(int rows, int inter, const Element* gate_up, Element* out);
/// out[token] = sum of weight x rows[place].
template <class Element>
void weighted_sum(int tokens, const ExpertDims& dims, const Permutation& permutation, const float* weights, const Element* rows, Element* out);
/// rows[place] = x[token].
template <class Element>
void gather_rows(int tokens, const ExpertDims& dims, const Permutation& permutation, const Element* x, Element* rows);

class ExpertLayer {
 public:
  /// kFp32 or kBf16. Throws Unsupported like MatrixProduct.
  ExpertLayer(const ExpertDims& dims, HostFormat format);

  /// Packed weights of one expert: gate and up, then down.
  [[nodiscard]] std::size_t expert_bytes() const { return up_bytes_ + down_bytes_; }
  /// gate_up [2 inter][hidden], down [hidden][inter] of one expert to `packed`.
  void pack(std::span<const float> gate_up, std::span<const float> down, std::byte* packed) const;
  /// x, out [tokens][hidden] in the layer's format; `packed`: all experts, one after another.
  void run(int tokens, const void* x, const Routing& routing, const std::byte* packed, void* out);
  [[nodiscard]] const ExpertDims& dims() const { return dims_; }

 private:
  template <class Element>
  void run_as(int tokens, const Element* x, const Routing& routing, const std::byte* packed, Element* out);

  ExpertDims dims_;
  HostFormat format_;
  MatrixProduct up_, down_;
  std::size_t up_bytes_, down_bytes_;
  Permutation permutation_;
  std::vector<std::byte> rows_, inner_, active_;  // permuted rows and results; gate and up; their activation
};

}  // namespace moeplan::bench
