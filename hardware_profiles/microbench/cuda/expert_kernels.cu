// Memory, router and permutation kernels.
#include "cuda/kernel_support.cuh"
#include "cuda/kernels.hpp"

namespace moeplan::bench {
namespace {

constexpr int kThreads = 256;
constexpr int kMostTopK = 32;

__global__ void fill_random(std::uint16_t* data, std::size_t count, std::uint64_t seed) {
  for (std::size_t i = blockIdx.x * static_cast<std::size_t>(blockDim.x) + threadIdx.x; i < count; i += static_cast<std::size_t>(gridDim.x) * blockDim.x) {
    std::uint64_t z = (i + seed * 0x9e3779b97f4a7c15ULL) * 0x9e3779b97f4a7c15ULL + 0x1234567ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    std::uint16_t bits = to_bf16(static_cast<float>(static_cast<std::int32_t>(z >> 40) - (1 << 23)) * 0x1.0p-23F);
    if ((bits & 0x7fU) == 0x7fU) bits ^= 1U;  // the low byte would be e4m3's NaN; the high byte, at most 0x3f or 0xbf, never is
    data[i] = bits;
  }
}

__global__ void read_words(const uint4* data, std::size_t count, std::uint32_t* sink) {
  uint4 sum{0, 0, 0, 0};
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = blockIdx.x * static_cast<std::size_t>(blockDim.x) + threadIdx.x; i < count; i += stride) {
    const uint4 x = __ldcs(data + i);
    sum.x ^= x.x;
    sum.y ^= x.y;
    sum.z ^= x.z;
    sum.w ^= x.w;
  }
  // Written only if a sum meets a value that random words practically never give: reads must happen, writes need not.
  if ((sum.x ^ sum.y ^ sum.z ^ sum.w) == 0x5bd1e995U) sink[blockIdx.x] = sum.x;
}

__global__ void empty() {}

/// A warp per token.
__global__ void softmax_topk(int tokens, int experts, int top_k, const float* logits, int* chosen, float* weights) {
  const int token = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / kWarp);
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  if (token >= tokens) return;
  const float* row = logits + static_cast<std::int64_t>(token) * experts;
  int* picks = chosen + static_cast<std::int64_t>(token) * top_k;
  float* shares = weights + static_cast<std::int64_t>(token) * top_k;
  float last_value = 3.0e38F, best = 0, sum = 0;
  int last = -1;
  for (int k = 0; k < top_k; ++k) {
    // The largest that comes after the last pick in the order (value down, expert up).
    float value = -3.0e38F;
    int expert = experts;
    for (int e = lane; e < experts; e += kWarp) {
      const bool after = row[e] < last_value || (row[e] == last_value && e > last);
      if (after && (row[e] > value || expert == experts)) {
        value = row[e];
        expert = e;
      }
    }
    for (int step = kWarp / 2; step > 0; step /= 2) {
      const float other_value = __shfl_xor_sync(kAllLanes, value, step);
      const int other = __shfl_xor_sync(kAllLanes, expert, step);
      if (other < experts && (expert == experts || other_value > value || (other_value == value && other < expert))) {
        value = other_value;
        expert = other;
      }
    }
    if (k == 0) best = value;
    const float share = __expf(value - best);
    sum += share;
    if (lane == 0) {
      picks[k] = expert;
      shares[k] = share;
    }
    last_value = value;
    last = expert;
  }
  __syncwarp();
  for (int k = lane; k < top_k; k += kWarp) shares[k] /= sum;
}

__global__ void count_pairs(int pairs, const int* chosen, int* counts) {
  const int pair = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (pair < pairs) atomicAdd(counts + chosen[pair], 1);
}

/// One thread: some hundred experts, and the counts lie in the cache.
__global__ void start_experts(int experts, int pad, const int* counts, int* starts, int* cursor) {
  int next = 0;
  for (int e = 0; e < experts; ++e) {
    starts[e] = next;
    cursor[e] = next;
    next += (counts[e] + pad - 1) / pad * pad;
  }
}

__global__ void place_pairs(int pairs, const int* chosen, int* cursor, int* place) {
  const int pair = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (pair < pairs) place[pair] = atomicAdd(cursor + chosen[pair], 1);
}

__global__ void set_addresses(int count, const int* touched, const int* start, const char* weights, std::int64_t weight_stride, const char* in, std::int64_t in_stride, char* out,
                              std::int64_t out_stride, const void** addresses) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= count) return;
  addresses[i] = weights + touched[i] * weight_stride;
  addresses[count + i] = in + start[i] * in_stride;
  addresses[2 * count + i] = out + start[i] * out_stride;
}

template <class Element>
__global__ void gather(int top_k, int hidden, const int* place, const std::uint16_t* x, Element* rows) {
  const std::int64_t pair = blockIdx.x;
  const std::uint16_t* from = x + pair / top_k * hidden;
  Element* to = rows + static_cast<std::int64_t>(place[pair]) * hidden;
  for (int i = static_cast<int>(threadIdx.x); i < hidden; i += static_cast<int>(blockDim.x)) {
    if constexpr (sizeof(Element) == 2) to[i] = from[i];
    else to[i] = element_of<Element>(from_bf16(from[i]));
  }
}

/// One block of 16 numbers of row `row` to codes and scale.
__device__ inline void store_fp4(const float (&values)[kFp4Block], std::int64_t row, std::int64_t group, std::int64_t groups, int scale_row, std::uint64_t* codes,
                                 std::uint8_t* scales) {
  float largest = 0;
  for (int i = 0; i < kFp4Block; ++i) largest = fmaxf(largest, fabsf(values[i]));
  const std::uint8_t scale = fp4_block_scale(largest);
  codes[row * groups + group] = fp4_block_codes(values, scale);
  scales[scale_offset(scale_row, group, groups)] = scale;
}

__global__ void gather_fp4(int top_k, int hidden, const int* place, const int* scale_row, const std::uint16_t* x, std::uint64_t* codes, std::uint8_t* scales) {
  const std::int64_t pair = blockIdx.x;
  const std::uint16_t* from = x + pair / top_k * hidden;
  const int row = place[pair], groups = hidden / kFp4Block;
  for (int group = static_cast<int>(threadIdx.x); group < groups; group += static_cast<int>(blockDim.x)) {
    float values[kFp4Block];
    for (int i = 0; i < kFp4Block; ++i) values[i] = from_bf16(from[group * kFp4Block + i]);
    store_fp4(values, row, group, groups, scale_row[row], codes, scales);
  }
}

__device__ inline float activated(const std::uint16_t* in, std::int64_t row, std::int64_t column, int inter) {
  const float gate = from_bf16(in[2 * row * inter + column]), up = from_bf16(in[(2 * row + 1) * inter + column]);
  return gate / (1 + __expf(-gate)) * up;
}

__global__ void activate_fp4(std::int64_t rows, int inter, const int* scale_row, const std::uint16_t* in, std::uint64_t* codes, std::uint8_t* scales) {
  const std::int64_t groups = inter / kFp4Block;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; i < rows * groups; i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const std::int64_t row = i / groups, group = i % groups;
    float values[kFp4Block];
    for (int j = 0; j < kFp4Block; ++j) values[j] = activated(in, row, group * kFp4Block + j, inter);
    store_fp4(values, row, group, groups, scale_row[row], codes, scales);
  }
}

template <class Element>
__global__ void activate(std::int64_t rows, int inter, const std::uint16_t* in, Element* out) {
  const std::int64_t count = rows * inter;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; i < count; i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    out[i] = element_of<Element>(activated(in, i / inter, i % inter, inter));
  }
}

__global__ void weighted_sum(int top_k, int hidden, const int* place, const float* weights, const std::uint16_t* rows, std::uint16_t* out) {
  const std::int64_t token = blockIdx.x;
  for (int i = static_cast<int>(threadIdx.x); i < hidden; i += static_cast<int>(blockDim.x)) {
    float sum = 0;
    for (int k = 0; k < top_k; ++k) {
      const std::int64_t pair = token * top_k + k;
      sum += weights[pair] * from_bf16(rows[static_cast<std::int64_t>(place[pair]) * hidden + i]);
    }
    out[token * hidden + i] = to_bf16(sum);
  }
}

unsigned blocks_for(std::int64_t items) { return static_cast<unsigned>((items + kThreads - 1) / kThreads); }
unsigned some_blocks(std::int64_t items) { return static_cast<unsigned>(blocks_for(items) < 65536U ? blocks_for(items) : 65536U); }

}  // namespace

void launch_fill_random(void* data, std::size_t bytes, std::uint64_t seed, cudaStream_t stream) {
  fill_random<<<kReadBlocks, kThreads, 0, stream>>>(static_cast<std::uint16_t*>(data), bytes / 2, seed);
  check_launch("fill_random");
}

void launch_read(const void* data, std::size_t bytes, std::uint32_t* sink, cudaStream_t stream) {
  const unsigned wanted = blocks_for(static_cast<std::int64_t>(bytes / sizeof(uint4)));
  read_words<<<wanted < kReadBlocks ? wanted : kReadBlocks, kThreads, 0, stream>>>(static_cast<const uint4*>(data), bytes / sizeof(uint4), sink);
  check_launch("read_words");
}

void launch_empty(cudaStream_t stream) {
  empty<<<1, kWarp, 0, stream>>>();
  check_launch("empty");
}

void launch_softmax_topk(int tokens, int experts, int top_k, const float* logits, int* chosen, float* weights, cudaStream_t stream) {
  if (top_k > kMostTopK) throw std::runtime_error("softmax_topk: more choices than it was written for");
  softmax_topk<<<blocks_for(static_cast<std::int64_t>(tokens) * kWarp), kThreads, 0, stream>>>(tokens, experts, top_k, logits, chosen, weights);
  check_launch("softmax_topk");
}

void launch_place_pairs(int pairs, int experts, int pad, const int* chosen, int* counts, int* starts, int* cursor, int* place, cudaStream_t stream) {
  if (cudaMemsetAsync(counts, 0, static_cast<std::size_t>(experts) * sizeof(int), stream) != cudaSuccess) throw std::runtime_error("place_pairs: clearing the counts failed");
  count_pairs<<<blocks_for(pairs), kThreads, 0, stream>>>(pairs, chosen, counts);
  start_experts<<<1, 1, 0, stream>>>(experts, pad, counts, starts, cursor);
  place_pairs<<<blocks_for(pairs), kThreads, 0, stream>>>(pairs, chosen, cursor, place);
  check_launch("place_pairs");
}

void launch_set_addresses(int count, const int* touched, const int* start, const void* weights, std::int64_t weight_stride, const void* in, std::int64_t in_stride, void* out,
                          std::int64_t out_stride, void** addresses, cudaStream_t stream) {
  set_addresses<<<blocks_for(count), kThreads, 0, stream>>>(count, touched, start, static_cast<const char*>(weights), weight_stride, static_cast<const char*>(in), in_stride,
                                                            static_cast<char*>(out), out_stride, const_cast<const void**>(addresses));
  check_launch("set_addresses");
}

void launch_gather_bf16(int pairs, int top_k, int hidden, const int* place, const std::uint16_t* x, std::uint16_t* rows, cudaStream_t stream) {
  gather<<<static_cast<unsigned>(pairs), kThreads, 0, stream>>>(top_k, hidden, place, x, rows);
  check_launch("gather");
}
void launch_gather_e4m3(int pairs, int top_k, int hidden, const int* place, const std::uint16_t* x, std::uint8_t* rows, cudaStream_t stream) {
  gather<<<static_cast<unsigned>(pairs), kThreads, 0, stream>>>(top_k, hidden, place, x, rows);
  check_launch("gather");
}
void launch_gather_fp4(int pairs, int top_k, int hidden, const int* place, const int* scale_row, const std::uint16_t* x, std::uint64_t* codes, std::uint8_t* scales,
                       cudaStream_t stream) {
  gather_fp4<<<static_cast<unsigned>(pairs), kThreads, 0, stream>>>(top_k, hidden, place, scale_row, x, codes, scales);
  check_launch("gather_fp4");
}
void launch_activate_fp4(std::int64_t rows, int inter, const int* scale_row, const std::uint16_t* in, std::uint64_t* codes, std::uint8_t* scales, cudaStream_t stream) {
  activate_fp4<<<some_blocks(rows * inter / kFp4Block), kThreads, 0, stream>>>(rows, inter, scale_row, in, codes, scales);
  check_launch("activate_fp4");
}
void launch_activate_bf16(std::int64_t rows, int inter, const std::uint16_t* in, std::uint16_t* out, cudaStream_t stream) {
  activate<<<some_blocks(rows * inter), kThreads, 0, stream>>>(rows, inter, in, out);
  check_launch("activate");
}
void launch_activate_e4m3(std::int64_t rows, int inter, const std::uint16_t* in, std::uint8_t* out, cudaStream_t stream) {
  activate<<<some_blocks(rows * inter), kThreads, 0, stream>>>(rows, inter, in, out);
  check_launch("activate");
}
void launch_weighted_sum(int tokens, int top_k, int hidden, const int* place, const float* weights, const std::uint16_t* rows, std::uint16_t* out, cudaStream_t stream) {
  weighted_sum<<<static_cast<unsigned>(tokens), kThreads, 0, stream>>>(top_k, hidden, place, weights, rows, out);
  check_launch("weighted_sum");
}

}  // namespace moeplan::bench
