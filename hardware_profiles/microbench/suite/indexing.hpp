// Index arithmetic of the own kernels, compiled for the processor and for CUDA alike and checked on the processor.
#pragma once

#include <cstdint>

#include "suite/numerics.hpp"

namespace moeplan::bench {

/// Offset of element (token, kv head, 0) in a paged cache laid out [block][kv_heads][block_tokens][dim].
MOEPLAN_HD inline std::int64_t paged_offset(std::int32_t block, int token_in_block, int kv_head, int kv_heads, int block_tokens, int dim) {
  return ((static_cast<std::int64_t>(block) * kv_heads + kv_head) * block_tokens + token_in_block) * dim;
}

/// Keys [begin, end) of part `part` when `length` keys are split over `parts` blocks in multiples of `granule`; parts at the end may be empty.
struct KeyRange {
  int begin, end;
};
MOEPLAN_HD inline KeyRange split_range(int length, int parts, int part, int granule) {
  const int granules = (length + granule - 1) / granule;
  const int each = (granules + parts - 1) / parts;
  const int begin = part * each * granule < length ? part * each * granule : length;
  const int end = begin + each * granule < length ? begin + each * granule : length;
  return {begin, end};
}

/// Parts that a decode's keys are split over so that all multiprocessors have work: at least `least` keys each, at most `most` parts.
MOEPLAN_HD inline int split_parts(int length, int blocks, int multiprocessors, int least, int most) {
  const int wanted = blocks > 0 ? (2 * multiprocessors + blocks - 1) / blocks : 1;
  const int possible = (length + least - 1) / least;
  int parts = wanted < possible ? wanted : possible;
  parts = parts < most ? parts : most;
  return parts > 1 ? parts : 1;
}

/// Keys that query `query` of a chunk behind `prefix` cached tokens may see.
MOEPLAN_HD inline int causal_keys(int query, int prefix) { return prefix + query + 1; }

/// Key-value head that a query head reads.
MOEPLAN_HD inline int kv_head_of(int head, int heads, int kv_heads) { return head / (heads / kv_heads); }

/// Offset of an fp4 block scale in the 128 x 4 tiled layout that cuBLASLt reads: `row` of the matrix, `group` of 16 elements along k,
/// `groups` per row.
MOEPLAN_HD inline std::int64_t scale_offset(std::int64_t row, std::int64_t group, std::int64_t groups) {
  const std::int64_t tiles = (groups + 3) / 4;
  const std::int64_t tile = (row / 128) * tiles + group / 4;
  return tile * 512 + (row % 32) * 16 + (row % 128) / 32 * 4 + group % 4;
}

/// Bytes of those scales for `rows` rows: whole tiles.
MOEPLAN_HD inline std::int64_t scale_bytes(std::int64_t rows, std::int64_t groups) { return (rows + 127) / 128 * ((groups + 3) / 4) * 512; }

}  // namespace moeplan::bench
