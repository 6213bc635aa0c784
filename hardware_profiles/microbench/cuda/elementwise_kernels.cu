// What lies between a layer's products, fused as engines fuse it: residual sum with norm, rotary angles with cache write, gated activation.
#include "cuda/kernel_support.cuh"
#include "cuda/kernels.hpp"

namespace moeplan::bench {
namespace {

constexpr int kThreads = 256;
constexpr int kEach = 8;  ///< bf16 numbers of one 16-byte access

struct alignas(16) Eight {
  std::uint16_t x[kEach];
};

__device__ inline Eight load(const std::uint16_t* from) { return *reinterpret_cast<const Eight*>(from); }
__device__ inline void store(std::uint16_t* to, const Eight& values) { *reinterpret_cast<Eight*>(to) = values; }

/// A block per row. The square is taken of the sum as it is stored.
__global__ void add_norm(int width, const std::uint16_t* add, std::uint16_t* stream, std::uint16_t* out) {
  __shared__ float parts[kThreads / kWarp];
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * width;
  float squares = 0;
  for (int i = static_cast<int>(threadIdx.x) * kEach; i < width; i += kThreads * kEach) {
    const Eight a = load(add + row + i);
    Eight sum = load(stream + row + i);
    for (int j = 0; j < kEach; ++j) {
      sum.x[j] = to_bf16(from_bf16(sum.x[j]) + from_bf16(a.x[j]));
      const float x = from_bf16(sum.x[j]);
      squares += x * x;
    }
    store(stream + row + i, sum);
  }
  squares = warp_sum(squares);
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = squares;
  __syncthreads();
  float total = 0;
  for (int w = 0; w < kThreads / kWarp; ++w) total += parts[w];
  const float scale = rsqrtf(total / static_cast<float>(width) + 1e-5F);
  for (int i = static_cast<int>(threadIdx.x) * kEach; i < width; i += kThreads * kEach) {
    Eight x = load(stream + row + i);
    for (int j = 0; j < kEach; ++j) x.x[j] = to_bf16(from_bf16(x.x[j]) * scale);
    store(out + row + i, x);
  }
}

/// A block per token: queries and keys are turned, keys and values written to their page.
__global__ void rotate_store(int heads, int kv_heads, int dim, const std::uint16_t* projected, const float* cosines, const float* sines, const std::int32_t* table,
                             std::uint16_t* queries, std::uint16_t* keys, std::uint16_t* values) {
  const int token = static_cast<int>(blockIdx.x), half = dim / 2, turns = half / kEach;
  const std::uint16_t* from = projected + static_cast<std::int64_t>(token) * (heads + 2 * kv_heads) * dim;
  const std::int32_t page = table[token / kPageTokens];
  const auto place = [&](int kv_head) { return paged_offset(page, token % kPageTokens, kv_head, kv_heads, kPageTokens, dim); };
  for (int i = static_cast<int>(threadIdx.x); i < (heads + kv_heads) * turns; i += kThreads) {
    const int head = i / turns, first = i % turns * kEach;
    Eight a = load(from + static_cast<std::int64_t>(head) * dim + first), b = load(from + static_cast<std::int64_t>(head) * dim + half + first);
    for (int j = 0; j < kEach; ++j) {
      const float x = from_bf16(a.x[j]), y = from_bf16(b.x[j]), c = cosines[first + j], s = sines[first + j];
      a.x[j] = to_bf16(x * c - y * s);
      b.x[j] = to_bf16(y * c + x * s);
    }
    std::uint16_t* to = head < heads ? queries + (static_cast<std::int64_t>(token) * heads + head) * dim : keys + place(head - heads);
    store(to + first, a);
    store(to + half + first, b);
  }
  const std::uint16_t* value = from + static_cast<std::int64_t>(heads + kv_heads) * dim;
  for (int i = static_cast<int>(threadIdx.x) * kEach; i < kv_heads * dim; i += kThreads * kEach) store(values + place(i / dim) + i % dim, load(value + i));
}

__global__ void gate(std::int64_t rows, int inter, const std::uint16_t* in, std::uint16_t* out) {
  const std::int64_t each = inter / kEach;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; i < rows * each; i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const std::int64_t row = i / each, column = i % each * kEach;
    Eight x = load(in + 2 * row * inter + column);
    const Eight up = load(in + (2 * row + 1) * inter + column);
    for (int j = 0; j < kEach; ++j) {
      const float g = from_bf16(x.x[j]);
      x.x[j] = to_bf16(g / (1 + __expf(-g)) * from_bf16(up.x[j]));
    }
    store(out + row * inter + column, x);
  }
}

}  // namespace

void launch_add_norm(int rows, int width, const std::uint16_t* add, std::uint16_t* stream, std::uint16_t* out, cudaStream_t cuda_stream) {
  add_norm<<<static_cast<unsigned>(rows), kThreads, 0, cuda_stream>>>(width, add, stream, out);
  check_launch("add_norm");
}

void launch_rotate_store(const RotateCall& call, cudaStream_t stream) {
  rotate_store<<<static_cast<unsigned>(call.tokens), kThreads, 0, stream>>>(call.heads, call.kv_heads, call.dim, call.projected, call.cosines, call.sines, call.table, call.queries,
                                                                            call.keys, call.values);
  check_launch("rotate_store");
}

void launch_gate(std::int64_t rows, int inter, const std::uint16_t* in, std::uint16_t* out, cudaStream_t stream) {
  const std::int64_t blocks = (rows * inter / kEach + kThreads - 1) / kThreads;
  gate<<<static_cast<unsigned>(blocks < 65536 ? blocks : 65536), kThreads, 0, stream>>>(rows, inter, in, out);
  check_launch("gate");
}

}  // namespace moeplan::bench
