// The suite's own GPU kernels: where no library has one that serving engines use through a public call. Rows measured with them say "moeplan-cuda".
// Index arithmetic and number formats are suite/indexing.hpp and suite/numerics.hpp, which the CPU tests check.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace moeplan::bench {

inline constexpr int kPageTokens = 16;   ///< tokens of a KV block
inline constexpr int kLatentWidth = 512, kLatentKey = 576;

/// Finite bf16 values in [-1, 1]; as bytes they are finite e4m3 too (the pattern of e4m3's NaN does not occur).
void launch_fill_random(void* data, std::size_t bytes, std::uint64_t seed, cudaStream_t stream);
/// Reads everything and stores one word per block, so that nothing is optimised away.
void launch_read(const void* data, std::size_t bytes, std::uint32_t* sink, cudaStream_t stream);
inline constexpr int kReadBlocks = 4096;
void launch_empty(cudaStream_t stream);

/// Softmax over the top_k largest logits of each token; ties go to the lower expert. logits fp32 [tokens][experts].
void launch_softmax_topk(int tokens, int experts, int top_k, const float* logits, int* chosen, float* weights, cudaStream_t stream);

/// Counts and starts of experts' rows, padded to `pad` rows each, and the row of each pair. `cursor`: experts ints of scratch.
void launch_place_pairs(int pairs, int experts, int pad, const int* chosen, int* counts, int* starts, int* cursor, int* place, cudaStream_t stream);
/// rows[place[pair]] = x[pair / top_k]; bf16 in, bf16 or e4m3 out.
void launch_gather_bf16(int pairs, int top_k, int hidden, const int* place, const std::uint16_t* x, std::uint16_t* rows, cudaStream_t stream);
void launch_gather_e4m3(int pairs, int top_k, int hidden, const int* place, const std::uint16_t* x, std::uint8_t* rows, cudaStream_t stream);
/// As nvfp4: codes [row][hidden / 2] and a scale per 16 numbers, written where scale_offset says for row scale_row[place[pair]]. hidden: of 16.
void launch_gather_fp4(int pairs, int top_k, int hidden, const int* place, const int* scale_row, const std::uint16_t* x, std::uint64_t* codes, std::uint8_t* scales,
                       cudaStream_t stream);
/// Three arrays of `count` addresses for a grouped product: weights + touched[i] x weight_stride, in + start[i] x in_stride, out + start[i] x
/// out_stride (bytes).
void launch_set_addresses(int count, const int* touched, const int* start, const void* weights, std::int64_t weight_stride, const void* in, std::int64_t in_stride, void* out,
                          std::int64_t out_stride, void** addresses, cudaStream_t stream);
/// out[r][i] = silu(in[r][i]) in[r][inter + i]; bf16 in, bf16 or e4m3 out.
void launch_activate_bf16(std::int64_t rows, int inter, const std::uint16_t* in, std::uint16_t* out, cudaStream_t stream);
void launch_activate_e4m3(std::int64_t rows, int inter, const std::uint16_t* in, std::uint8_t* out, cudaStream_t stream);
void launch_activate_fp4(std::int64_t rows, int inter, const int* scale_row, const std::uint16_t* in, std::uint64_t* codes, std::uint8_t* scales, cudaStream_t stream);
/// out[t] = sum of weights x rows[place].
void launch_weighted_sum(int tokens, int top_k, int hidden, const int* place, const float* weights, const std::uint16_t* rows, std::uint16_t* out, cudaStream_t stream);

/// stream += add; out = stream / sqrt(mean(stream^2) + 1e-5), row by row; bf16, width a multiple of 8.
void launch_add_norm(int rows, int width, const std::uint16_t* add, std::uint16_t* stream, std::uint16_t* out, cudaStream_t cuda_stream);
/// Token t of one sequence from `projected` [tokens][heads + 2 kv_heads][dim]: queries [tokens][heads][dim] and keys turned by the angles, keys and values
/// written to page table[t / 16] of [block][kv_heads][16][dim]. bf16; dim a multiple of 16.
struct RotateCall {
  int tokens = 1, heads = 1, kv_heads = 1, dim = 128;
  const std::uint16_t* projected = nullptr;
  const float* cosines = nullptr;  ///< dim / 2
  const float* sines = nullptr;
  const std::int32_t* table = nullptr;
  std::uint16_t* queries = nullptr;
  std::uint16_t* keys = nullptr;
  std::uint16_t* values = nullptr;
};
void launch_rotate_store(const RotateCall& call, cudaStream_t stream);
/// out[r][i] = silu(in[r][i]) in[r][inter + i], 16 bytes at a time: inter a multiple of 8.
void launch_gate(std::int64_t rows, int inter, const std::uint16_t* in, std::uint16_t* out, cudaStream_t stream);

/// Paged grouped-query attention: query row r belongs to sequence r / queries and sees prefix + r % queries + 1 keys. q, out [rows][heads][dim] bf16;
/// keys, values [block][kv_heads][16][dim] bf16 or e4m3; table [sequence][blocks_each]. dim 64 or 128.
struct AttentionCall {
  int rows = 1, queries = 1, prefix = 0;
  int heads = 1, kv_heads = 1, dim = 128;
  int blocks_each = 1;
  bool eight_bit = false;
  const std::uint16_t* q = nullptr;
  const void* keys = nullptr;
  const void* values = nullptr;
  const std::int32_t* table = nullptr;
  std::uint16_t* out = nullptr;
  float* partial = nullptr;  ///< attention_partial_floats(...) of scratch
  int parts = 1;             ///< keys are split over so many blocks
};
std::size_t attention_partial_floats(const AttentionCall& call);
void launch_attention(const AttentionCall& call, cudaStream_t stream);

/// Absorbed latent attention: rows [sequence][length][576] bf16, q [sequences][heads][576], out [sequences][heads][512]; heads a multiple of 4.
struct LatentCall {
  int sequences = 1, length = 1, heads = 16, parts = 1;
  const std::uint16_t* q = nullptr;
  const std::uint16_t* rows = nullptr;
  std::uint16_t* out = nullptr;
  float* partial = nullptr;
};
std::size_t latent_partial_floats(const LatentCall& call);
void launch_latent(const LatentCall& call, cudaStream_t stream);

}  // namespace moeplan::bench
