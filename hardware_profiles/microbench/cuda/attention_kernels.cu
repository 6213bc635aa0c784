// Attention over a paged KV cache and over latent rows: keys split over blocks, running softmax per warp, parts joined at the end. No tensor cores:
// decode is bound by memory; prefill by this kernel is a stand-in, and its rows say so.
#include "cuda/kernel_support.cuh"
#include "cuda/kernels.hpp"

namespace moeplan::bench {
namespace {

constexpr int kWarps = 4;
constexpr int kMostGroup = 8;  // query heads that a block handles at once

/// What a warp, a block or a part knows of one head: the softmax so far and the weighted values, `E` per lane.
template <int E>
struct Head {
  RunningSoftmax softmax;
  float sum[E] = {};
};

template <int E>
__device__ inline void add_key(Head<E>& head, float score, const float (&value)[E]) {
  const float top = fmaxf(head.softmax.top, score);
  const float keep = __expf(head.softmax.top - top), weight = __expf(score - top);
  head.softmax = joined(head.softmax, {score, 1}, keep, weight);
  for (int i = 0; i < E; ++i) head.sum[i] = head.sum[i] * keep + weight * value[i];
}

/// Joins the warps' states of one head; the result is in warp 0. `shared` holds kWarps x (2 + 32 E) floats.
template <int E>
__device__ inline void join_warps(Head<E>& head, float* shared, int warp, int lane) {
  const int width = 2 + kWarp * E;
  float* own = shared + warp * width;
  __syncthreads();
  if (lane == 0) {
    own[0] = head.softmax.top;
    own[1] = head.softmax.sum;
  }
  for (int i = 0; i < E; ++i) own[2 + i * kWarp + lane] = head.sum[i];
  __syncthreads();
  if (warp != 0) return;
  for (int other = 1; other < kWarps; ++other) {
    const float* theirs = shared + other * width;
    const float top = fmaxf(head.softmax.top, theirs[0]);
    const float mine = __expf(head.softmax.top - top), their = __expf(theirs[0] - top);
    head.softmax = joined(head.softmax, {theirs[0], theirs[1]}, mine, their);
    for (int i = 0; i < E; ++i) head.sum[i] = head.sum[i] * mine + theirs[2 + i * kWarp + lane] * their;
  }
}

/// Where a part of a head's result lies in the scratch: top, sum, then the values.
__host__ __device__ inline std::size_t partial_at(std::int64_t row, int heads, int head, int parts, int part, int width) {
  return static_cast<std::size_t>(((row * heads + head) * parts + part)) * static_cast<std::size_t>(2 + width);
}

/// Grid: (rows, KV heads x groups of kMostGroup query heads, parts). Lane l holds elements l + 32 i.
template <int E, class Element>
__global__ void attend(AttentionCall c) {
  __shared__ float shared[kWarps * (2 + kWarp * E)];
  const int group = c.heads / c.kv_heads, slices = (group + kMostGroup - 1) / kMostGroup;
  const int kv_head = static_cast<int>(blockIdx.y) / slices, first = kv_head * group + static_cast<int>(blockIdx.y) % slices * kMostGroup;
  const int count = min(kMostGroup, (kv_head + 1) * group - first);
  const int row = static_cast<int>(blockIdx.x), part = static_cast<int>(blockIdx.z);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int length = causal_keys(row % c.queries, c.prefix);
  const KeyRange range = split_range(length, c.parts, part, kPageTokens);
  const std::int32_t* table = c.table + static_cast<std::int64_t>(row / c.queries) * c.blocks_each;
  const float scale = rsqrtf(static_cast<float>(c.dim));
  float q[kMostGroup][E];
  Head<E> heads[kMostGroup];
#pragma unroll
  for (int h = 0; h < kMostGroup; ++h) {
    for (int i = 0; i < E; ++i) q[h][i] = h < count ? scale * from_bf16(c.q[(static_cast<std::int64_t>(row) * c.heads + first + h) * c.dim + i * kWarp + lane]) : 0.0F;
  }
  for (int key = range.begin + warp; key < range.end; key += kWarps) {
    const std::int64_t at = paged_offset(table[key / kPageTokens], key % kPageTokens, kv_head, c.kv_heads, kPageTokens, c.dim);
    float k[E], v[E];
    for (int i = 0; i < E; ++i) {
      k[i] = value_of(static_cast<const Element*>(c.keys)[at + i * kWarp + lane]);
      v[i] = value_of(static_cast<const Element*>(c.values)[at + i * kWarp + lane]);
    }
#pragma unroll
    for (int h = 0; h < kMostGroup; ++h) {
      if (h >= count) break;
      float score = 0;
      for (int i = 0; i < E; ++i) score += q[h][i] * k[i];
      add_key(heads[h], warp_sum(score), v);
    }
  }
#pragma unroll
  for (int h = 0; h < kMostGroup; ++h) {
    if (h >= count) break;
    join_warps(heads[h], shared, warp, lane);
    if (warp != 0) continue;
    float* out = c.partial + partial_at(row, c.heads, first + h, c.parts, part, c.dim);
    if (lane == 0) {
      out[0] = heads[h].softmax.top;
      out[1] = heads[h].softmax.sum;
    }
    for (int i = 0; i < E; ++i) out[2 + i * kWarp + lane] = heads[h].sum[i];
  }
}

/// Grid: (rows, heads); joins the parts and writes bf16.
__global__ void join_parts(int heads, int parts, int width, const float* partial, std::uint16_t* out) {
  const std::int64_t row = blockIdx.x;
  const int head = static_cast<int>(blockIdx.y);
  float top = -3.0e38F;
  for (int p = 0; p < parts; ++p) top = fmaxf(top, partial[partial_at(row, heads, head, parts, p, width)]);
  for (int i = static_cast<int>(threadIdx.x); i < width; i += static_cast<int>(blockDim.x)) {
    float sum = 0, value = 0;
    for (int p = 0; p < parts; ++p) {
      const float* at = partial + partial_at(row, heads, head, parts, p, width);
      const float share = __expf(at[0] - top);
      sum += at[1] * share;
      value += at[2 + i] * share;
    }
    out[(row * heads + head) * width + i] = to_bf16(value / sum);
  }
}

constexpr int kKeyParts = kLatentKey / kWarp, kValueParts = kLatentWidth / kWarp;

/// Grid: (sequences, heads / kWarps, parts); a warp per head, the rows shared through the caches.
__global__ void attend_latent(LatentCall c) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int head = static_cast<int>(blockIdx.y) * kWarps + warp;
  const std::int64_t sequence = blockIdx.x;
  const int part = static_cast<int>(blockIdx.z);
  const KeyRange range = split_range(c.length, c.parts, part, kPageTokens);
  const std::uint16_t* query = c.q + (sequence * c.heads + head) * kLatentKey;
  const float scale = rsqrtf(192.0F);
  float q[kKeyParts];
  for (int i = 0; i < kKeyParts; ++i) q[i] = scale * from_bf16(query[i * kWarp + lane]);
  Head<kValueParts> state;
  for (int key = range.begin; key < range.end; ++key) {
    const std::uint16_t* row = c.rows + (sequence * c.length + key) * kLatentKey;
    float k[kValueParts], score = 0;
    for (int i = 0; i < kValueParts; ++i) {
      k[i] = from_bf16(row[i * kWarp + lane]);
      score += q[i] * k[i];
    }
    for (int i = kValueParts; i < kKeyParts; ++i) score += q[i] * from_bf16(row[i * kWarp + lane]);
    add_key(state, warp_sum(score), k);
  }
  float* out = c.partial + partial_at(sequence, c.heads, head, c.parts, part, kLatentWidth);
  if (lane == 0) {
    out[0] = state.softmax.top;
    out[1] = state.softmax.sum;
  }
  for (int i = 0; i < kValueParts; ++i) out[2 + i * kWarp + lane] = state.sum[i];
}

unsigned to_grid(int n) { return static_cast<unsigned>(n); }

}  // namespace

std::size_t attention_partial_floats(const AttentionCall& c) { return partial_at(c.rows, c.heads, 0, c.parts, 0, c.dim); }

void launch_attention(const AttentionCall& c, cudaStream_t stream) {
  const int group = c.heads / c.kv_heads, slices = (group + kMostGroup - 1) / kMostGroup;
  const dim3 grid(to_grid(c.rows), to_grid(c.kv_heads * slices), to_grid(c.parts));
  if (c.dim == 128 && !c.eight_bit) attend<4, std::uint16_t><<<grid, kWarps * kWarp, 0, stream>>>(c);
  else if (c.dim == 128) attend<4, std::uint8_t><<<grid, kWarps * kWarp, 0, stream>>>(c);
  else if (c.dim == 64 && !c.eight_bit) attend<2, std::uint16_t><<<grid, kWarps * kWarp, 0, stream>>>(c);
  else if (c.dim == 64) attend<2, std::uint8_t><<<grid, kWarps * kWarp, 0, stream>>>(c);
  else throw std::runtime_error("attention: head dimensions other than 64 and 128");
  check_launch("attend");
  join_parts<<<dim3(to_grid(c.rows), to_grid(c.heads)), to_grid(c.dim), 0, stream>>>(c.heads, c.parts, c.dim, c.partial, c.out);
  check_launch("join_parts");
}

std::size_t latent_partial_floats(const LatentCall& c) { return partial_at(c.sequences, c.heads, 0, c.parts, 0, kLatentWidth); }

void launch_latent(const LatentCall& c, cudaStream_t stream) {
  if (c.heads % kWarps != 0) throw std::runtime_error("latent attention: a number of heads that is no multiple of 4");
  attend_latent<<<dim3(to_grid(c.sequences), to_grid(c.heads / kWarps), to_grid(c.parts)), kWarps * kWarp, 0, stream>>>(c);
  check_launch("attend_latent");
  join_parts<<<dim3(to_grid(c.sequences), to_grid(c.heads)), 256, 0, stream>>>(c.heads, c.parts, kLatentWidth, c.partial, c.out);
  check_launch("join_parts");
}

}  // namespace moeplan::bench
