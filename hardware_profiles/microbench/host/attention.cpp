#include "host/attention.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "host/vector_math.hpp"

namespace moeplan::bench {
namespace {

constexpr int kTogether = 4;      // query heads that share one pass over keys and values: 4 x 4 accumulators stay in registers
constexpr int kWide = 64;         // elements of a value row accumulated at once

/// Scratch of one thread.
struct Scratch {
  std::vector<float> queries, scores;
};
Scratch& scratch() {
  static thread_local Scratch s;
  return s;
}

/// scores[g][key] = q[g] . key, keys transposed in blocks.
template <int G, class Element>
MOEPLAN_INLINE void score_keys(const Element* pool, const std::int32_t* blocks, std::size_t block_elements, std::size_t head_offset, int dim, int keys,
                               const float* q, float* scores, int stride) {
  for (int first = 0; first < keys; first += kBlockTokens) {
    const Element* key = pool + static_cast<std::size_t>(blocks[first / kBlockTokens]) * block_elements + head_offset;
    Floats sum[G] = {};
    for (int d = 0; d < dim; ++d) {
      Floats k;
      load(key + static_cast<std::ptrdiff_t>(d) * kBlockTokens, k);
      for (int g = 0; g < G; ++g) sum[g] += q[g * dim + d] * k;
    }
    for (int g = 0; g < G; ++g) store(scores + static_cast<std::ptrdiff_t>(g) * stride + first, sum[g]);
  }
}

/// Softmax in place over `keys` scores; padding up to a block becomes 0. Returns 1 / sum.
MOEPLAN_INLINE float softmax(float* scores, int keys) {
  const int padded = (keys + kLanes - 1) / kLanes * kLanes;
  for (int i = keys; i < padded; ++i) scores[i] = -1e30F;
  Floats top;
  load(scores, top);
  for (int i = kLanes; i < padded; i += kLanes) {
    Floats s;
    load(scores + i, s);
    top = s > top ? s : top;
  }
  float highest = top[0];
  for (int i = 1; i < kLanes; ++i) highest = std::max(highest, top[i]);
  Floats sum = {};
  for (int i = 0; i < padded; i += kLanes) {
    Floats s;
    load(scores + i, s);
    s -= highest;
    exponential(s);
    sum += s;
    store(scores + i, s);
  }
  return 1 / sum_of(sum);
}

/// out[g] = sum over keys of probability x value, one slice of kWide elements at a time.
template <int G, class Element>
MOEPLAN_INLINE void sum_values(const Element* pool, const std::int32_t* blocks, std::size_t block_elements, std::size_t value_offset, int dim, int keys,
                               const float* probabilities, int stride, const float* inverse, Element* out, int slice) {
  constexpr int kParts = kWide / kLanes;
  const int parts = std::min(kParts, (dim - slice) / kLanes);
  Floats sum[G][kParts] = {};
  for (int first = 0; first < keys; first += kBlockTokens) {
    const Element* value = pool + static_cast<std::size_t>(blocks[first / kBlockTokens]) * block_elements + value_offset + slice;
    const int count = std::min(kBlockTokens, keys - first);
    for (int t = 0; t < count; ++t) {
      for (int part = 0; part < kParts; ++part) {
        if (part >= parts) break;
        Floats v;
        load(value + static_cast<std::ptrdiff_t>(t) * dim + part * kLanes, v);
        for (int g = 0; g < G; ++g) sum[g][part] += probabilities[g * stride + first + t] * v;
      }
    }
  }
  for (int g = 0; g < G; ++g) {
    for (int part = 0; part < kParts; ++part) {
      if (part >= parts) break;
      sum[g][part] *= inverse[g];
      store(out + static_cast<std::ptrdiff_t>(g) * dim + slice + part * kLanes, sum[g][part]);
    }
  }
}

/// G query heads of one KV head over `keys` keys.
template <int G, class Element>
MOEPLAN_INLINE void attend(const AttentionHeads& h, const Element* pool, const std::int32_t* blocks, int keys, int kv_head, const Element* q, Element* out) {
  Scratch& s = scratch();
  const int stride = (keys + kLanes - 1) / kLanes * kLanes;
  s.queries.resize(static_cast<std::size_t>(G) * static_cast<std::size_t>(h.dim));
  if (s.scores.size() < static_cast<std::size_t>(G) * static_cast<std::size_t>(stride)) s.scores.resize(static_cast<std::size_t>(G) * static_cast<std::size_t>(stride));
  const float scale = 1 / std::sqrt(static_cast<float>(h.dim));
  for (int i = 0; i < G * h.dim; i += kLanes) {
    Floats x;
    load(q + i, x);
    x *= scale;
    store(s.queries.data() + i, x);
  }
  const std::size_t head_elements = 2UL * kBlockTokens * static_cast<std::size_t>(h.dim);
  const std::size_t head = static_cast<std::size_t>(kv_head) * head_elements;
  score_keys<G>(pool, blocks, h.block_elements(), head, h.dim, keys, s.queries.data(), s.scores.data(), stride);
  float inverse[G];
  for (int g = 0; g < G; ++g) inverse[g] = softmax(s.scores.data() + static_cast<std::ptrdiff_t>(g) * stride, keys);
  for (int slice = 0; slice < h.dim; slice += kWide) {
    sum_values<G>(pool, blocks, h.block_elements(), head + head_elements / 2, h.dim, keys, s.scores.data(), stride, inverse, out, slice);
  }
}

/// All query heads of one KV head.
template <class Element>
MOEPLAN_INLINE void attend_group(const AttentionHeads& h, const Element* pool, const std::int32_t* blocks, int keys, int kv_head, const Element* q, Element* out) {
  int g = 0;
  const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(kv_head) * h.group() * h.dim;
  for (; g + kTogether <= h.group(); g += kTogether) {
    attend<kTogether>(h, pool, blocks, keys, kv_head, q + first + static_cast<std::ptrdiff_t>(g) * h.dim, out + first + static_cast<std::ptrdiff_t>(g) * h.dim);
  }
  for (; g < h.group(); ++g) {
    attend<1>(h, pool, blocks, keys, kv_head, q + first + static_cast<std::ptrdiff_t>(g) * h.dim, out + first + static_cast<std::ptrdiff_t>(g) * h.dim);
  }
}

MOEPLAN_CLONES void attend_of(const AttentionHeads& h, const std::uint16_t* pool, const std::int32_t* blocks, int keys, int kv_head, const std::uint16_t* q, std::uint16_t* out) {
  attend_group(h, pool, blocks, keys, kv_head, q, out);
}
MOEPLAN_CLONES void attend_of(const AttentionHeads& h, const float* pool, const std::int32_t* blocks, int keys, int kv_head, const float* q, float* out) {
  attend_group(h, pool, blocks, keys, kv_head, q, out);
}

/// Latent rows serve as keys and, their first part, as values of `G` heads.
template <int G, class Element>
MOEPLAN_INLINE void attend_latent(const Element* rows, int keys, const Element* q, Element* out) {
  Scratch& s = scratch();
  const int stride = (keys + kLanes - 1) / kLanes * kLanes;
  s.scores.resize(std::max(s.scores.size(), static_cast<std::size_t>(G) * static_cast<std::size_t>(stride)));
  s.queries.resize(static_cast<std::size_t>(G) * kLatentRow);
  const float scale = 1 / std::sqrt(192.0F);
  for (int i = 0; i < G * kLatentRow; i += kLanes) {
    Floats x;
    load(q + i, x);
    x *= scale;
    store(s.queries.data() + i, x);
  }
  for (int key = 0; key < keys; ++key) {
    Floats sum[G] = {};
    for (int d = 0; d < kLatentRow; d += kLanes) {
      Floats k, x;
      load(rows + static_cast<std::ptrdiff_t>(key) * kLatentRow + d, k);
      for (int g = 0; g < G; ++g) {
        load(s.queries.data() + g * kLatentRow + d, x);
        sum[g] += x * k;
      }
    }
    for (int g = 0; g < G; ++g) s.scores[static_cast<std::size_t>(g * stride + key)] = sum_of(sum[g]);
  }
  float inverse[G];
  for (int g = 0; g < G; ++g) inverse[g] = softmax(s.scores.data() + static_cast<std::ptrdiff_t>(g) * stride, keys);
  for (int slice = 0; slice < kLatent; slice += kWide) {
    Floats sum[G][kWide / kLanes] = {};
    for (int key = 0; key < keys; ++key) {
      for (int part = 0; part < kWide / kLanes; ++part) {
        Floats v;
        load(rows + static_cast<std::ptrdiff_t>(key) * kLatentRow + slice + part * kLanes, v);
        for (int g = 0; g < G; ++g) sum[g][part] += s.scores[static_cast<std::size_t>(g * stride + key)] * v;
      }
    }
    for (int g = 0; g < G; ++g) {
      for (int part = 0; part < kWide / kLanes; ++part) {
        sum[g][part] *= inverse[g];
        store(out + static_cast<std::ptrdiff_t>(g) * kLatent + slice + part * kLanes, sum[g][part]);
      }
    }
  }
}

MOEPLAN_CLONES void attend_latent_of(const std::uint16_t* rows, int keys, const std::uint16_t* q, std::uint16_t* out) { attend_latent<kTogether>(rows, keys, q, out); }
MOEPLAN_CLONES void attend_latent_of(const float* rows, int keys, const float* q, float* out) { attend_latent<kTogether>(rows, keys, q, out); }

}  // namespace

template <class Element>
void store_token(const AttentionHeads& h, Element* pool, const std::int32_t* blocks, int position, const Element* key, const Element* value) {
  Element* block = pool + static_cast<std::size_t>(blocks[position / kBlockTokens]) * h.block_elements();
  const int slot = position % kBlockTokens;
  for (int head = 0; head < h.kv_heads; ++head) {
    Element* keys = block + static_cast<std::ptrdiff_t>(head) * 2 * kBlockTokens * h.dim;
    Element* values = keys + static_cast<std::ptrdiff_t>(kBlockTokens) * h.dim;
    for (int d = 0; d < h.dim; ++d) keys[d * kBlockTokens + slot] = key[head * h.dim + d];
    std::copy_n(value + static_cast<std::ptrdiff_t>(head) * h.dim, h.dim, values + static_cast<std::ptrdiff_t>(slot) * h.dim);
  }
}

template <class Element>
void decode_attention(const AttentionHeads& h, const Element* pool, std::span<const PagedSequence> sequences, const Element* q, Element* out) {
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(h.heads) * h.dim;
  const int items = static_cast<int>(sequences.size()) * h.kv_heads;
#pragma omp parallel for schedule(dynamic, 1)
  for (int item = 0; item < items; ++item) {
    const int s = item / h.kv_heads;
    const PagedSequence& sequence = sequences[static_cast<std::size_t>(s)];
    attend_of(h, pool, sequence.blocks, sequence.tokens, item % h.kv_heads, q + s * row, out + s * row);
  }
}

template <class Element>
void prefill_attention(const AttentionHeads& h, const Element* pool, const PagedSequence& sequence, int queries, const Element* q, Element* out) {
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(h.heads) * h.dim;
  const int items = queries * h.kv_heads;
  // Head by head: the keys of one head stay in the cache from query to query.
#pragma omp parallel for schedule(dynamic, 16)
  for (int item = 0; item < items; ++item) {
    const int i = item % queries;
    attend_of(h, pool, sequence.blocks, sequence.tokens - queries + i + 1, item / queries, q + i * row, out + i * row);
  }
}

template <class Element>
void latent_decode(int sequences, int length, int heads, const Element* rows, const Element* q, Element* out) {
  const int groups = heads / kTogether;
#pragma omp parallel for schedule(dynamic, 1)
  for (int item = 0; item < sequences * groups; ++item) {
    const std::ptrdiff_t s = item / groups, first = s * heads + static_cast<std::ptrdiff_t>(item % groups) * kTogether;
    attend_latent_of(rows + s * length * kLatentRow, length, q + first * kLatentRow, out + first * kLatent);
  }
}

#define MOEPLAN_INSTANTIATE(Element)                                                                                                        \
  template void store_token(const AttentionHeads&, Element*, const std::int32_t*, int, const Element*, const Element*);                   \
  template void decode_attention(const AttentionHeads&, const Element*, std::span<const PagedSequence>, const Element*, Element*);        \
  template void prefill_attention(const AttentionHeads&, const Element*, const PagedSequence&, int, const Element*, Element*);            \
  template void latent_decode(int, int, int, const Element*, const Element*, Element*);
MOEPLAN_INSTANTIATE(std::uint16_t)
MOEPLAN_INSTANTIATE(float)
#undef MOEPLAN_INSTANTIATE

}  // namespace moeplan::bench
