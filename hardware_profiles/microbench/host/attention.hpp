// Attention on the processor over a paged KV cache: what a CPU serving engine would run. Keys lie transposed inside a block so that the scores of
// sixteen keys fill one vector; values lie row by row.
#pragma once

#include <cstdint>
#include <cstddef>
#include <span>

namespace moeplan::bench {

inline constexpr int kBlockTokens = 16;

struct AttentionHeads {
  int heads = 0;     ///< query heads
  int kv_heads = 0;
  int dim = 0;       ///< a multiple of 16
  [[nodiscard]] int group() const { return heads / kv_heads; }
  /// Elements of one block: keys [kv_heads][dim][16], values [kv_heads][16][dim], head by head.
  [[nodiscard]] std::size_t block_elements() const { return static_cast<std::size_t>(2) * static_cast<std::size_t>(kv_heads) * kBlockTokens * static_cast<std::size_t>(dim); }
};

/// One sequence: blocks of `pool` in order, and how many tokens they hold.
struct PagedSequence {
  const std::int32_t* blocks = nullptr;
  int tokens = 0;
};

/// Writes key and value [kv_heads][dim] of the token at `position`. Element: std::uint16_t (bf16) or float.
template <class Element>
void store_token(const AttentionHeads& heads, Element* pool, const std::int32_t* blocks, int position, const Element* key, const Element* value);

/// One query per sequence over all its tokens; q and out [sequences][heads][dim].
template <class Element>
void decode_attention(const AttentionHeads& heads, const Element* pool, std::span<const PagedSequence> sequences, const Element* q, Element* out);

/// Queries of one sequence whose last token is its last: query i of `queries` sees sequence.tokens - queries + i + 1 keys.
template <class Element>
void prefill_attention(const AttentionHeads& heads, const Element* pool, const PagedSequence& sequence, int queries, const Element* q, Element* out);

inline constexpr int kLatent = 512, kLatentRope = 64, kLatentRow = kLatent + kLatentRope;

/// Absorbed latent attention: rows [sequence][length][576], q [sequences][heads][576], out [sequences][heads][512].
template <class Element>
void latent_decode(int sequences, int length, int heads, const Element* rows, const Element* q, Element* out);

}  // namespace moeplan::bench
