// The operations in float64, written for clarity: what every backend's kernels are checked against before anything is timed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moeplan::bench {

using Numbers = std::vector<double>;

/// out[m][n] = sum over k of a[m][k] b[n][k].
Numbers reference_gemm(std::int64_t m, std::int64_t n, std::int64_t k, std::span<const float> a, std::span<const float> b);

/// One query per (sequence, head): softmax(q k / sqrt(dim)) v. q[batch][heads][dim], k and v [batch][length][kv_heads][dim].
Numbers reference_decode(int batch, int length, int heads, int kv_heads, int dim, std::span<const float> q, std::span<const float> k,
                         std::span<const float> v);

/// Causal: query i of `queries` sees prefix + i + 1 keys. q[queries][heads][dim], k and v [prefix + queries][kv_heads][dim].
Numbers reference_prefill(int queries, int prefix, int heads, int kv_heads, int dim, std::span<const float> q, std::span<const float> k,
                          std::span<const float> v);

/// Absorbed latent attention: keys are latent rows of `latent + rope` elements shared by all heads, values their first `latent` elements.
/// q[batch][heads][latent + rope], rows[batch][length][latent + rope] -> [batch][heads][latent]; scores are scaled by 1/sqrt(192).
Numbers reference_mla(int batch, int length, int heads, int latent, int rope, std::span<const float> q, std::span<const float> rows);

/// Gated experts: out[t] = sum over choices of weight x down(silu(gate x) * up x). up[experts][2 inter][hidden] holds gate rows then up rows,
/// down[experts][hidden][inter].
Numbers reference_experts(std::int64_t tokens, int hidden, int inter, int top_k, std::span<const float> x, std::span<const int> chosen,
                          std::span<const float> weights, std::span<const float> up, std::span<const float> down);

struct TopK {
  std::vector<int> experts;  ///< [tokens][top_k], best first
  Numbers weights;           ///< softmax over the chosen logits
};
/// Ties go to the lower expert.
TopK reference_topk(std::int64_t tokens, int experts, int top_k, std::span<const float> logits);

/// (a + b) / sqrt(mean((a + b)^2) + 1e-5), row by row.
std::vector<double> reference_norm(std::int64_t rows, std::int64_t width, const std::vector<float>& a, const std::vector<float>& b);

}  // namespace moeplan::bench
