// KV blocks that outlive their request, so that prompts which begin alike are computed once: a radix tree whose edges are runs of blocks.
// Blocks that a running sequence stands on are locked; the others may be overwritten, least recently given back first and those of one
// sequence from its end (the order of vLLM's free queue, and of SGLang's tree by leaves).
//
// With lower tiers (host memory, NVMe) an overwritten block moves down instead of being lost, and comes back when a prompt asks for it.
// The tree counts blocks; whoever owns it says how many may lie idle on the GPU (trim), and what moving them takes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "serving/child_table.hpp"
#include "serving/prompt_blocks.hpp"

namespace moeplan {

/// Where KV blocks lie: the GPU, the host's memory, its NVMe drives.
inline constexpr int kKvTiers = 3;
using TierBlocks = std::array<std::int64_t, kKvTiers>;

class PrefixCache {
 public:
  using Node = std::int32_t;
  static constexpr Node kRoot = 0;

  /// Blocks of a prompt that are there, first those on the GPU, then those below.
  struct Match {
    std::array<std::int32_t, kKvTiers> blocks{};
    std::int32_t locked = 0;  ///< of those on the GPU, blocks that somebody stands on
  };
  /// A locked path through the tree.
  struct Path {
    Node node = kRoot;
    std::int32_t blocks = 0;  ///< its length
    std::int32_t woken = 0;   ///< blocks that nobody had locked before, those fetched from below included
  };
  struct Counts {
    std::int64_t inserted = 0;      ///< blocks that came to the GPU by being computed
    TierBlocks moved_down{};        ///< into the tier
    std::int64_t fetched_host = 0;  ///< from host memory to the GPU
    std::int64_t fetched_nvme = 0;  ///< from NVMe to the GPU
    std::int64_t recomputed = 0;    ///< found below but computed anew
    TierBlocks dropped{};           ///< lost from the tier
    Counts& operator+=(const Counts& other);
  };

  /// `lower_capacity`: blocks in host memory and NVMe ([0] is unused; 0: no such tier). REQUIRES: block_tokens > 0.
  explicit PrefixCache(std::int32_t block_tokens, const TierBlocks& lower_capacity = {});

  /// The first `limit` blocks of `spec` at most; changes nothing.
  [[nodiscard]] Match match(const RequestSpec& spec, std::int32_t limit) const;
  /// Locks the first `limit` blocks at most; those below the GPU are fetched down to tier `deepest`.
  Path acquire(const RequestSpec& spec, std::int32_t limit, int deepest);
  /// `path` grows to `blocks` blocks of `spec`, which have been computed. Blocks that others have put there meanwhile are used in place of
  /// the caller's: the number of the caller's blocks that become free.
  std::int32_t extend(const RequestSpec& spec, Path& path, std::int32_t blocks);
  /// Nobody stands on `path` any more; how many blocks fall idle.
  std::int32_t release(const Path& path);
  /// Overwrites or moves down idle GPU blocks until at most `idle` are left.
  void trim(std::int64_t idle) {
    if (idle_[0] > idle) shrink(0, idle);
  }

  /// Blocks on the GPU that nobody stands on; below the GPU, all.
  [[nodiscard]] std::int64_t idle(int tier = 0) const { return idle_[static_cast<std::size_t>(tier)]; }
  [[nodiscard]] std::int64_t locked() const { return locked_; }
  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] std::int32_t block_tokens() const { return block_tokens_; }
  /// All blocks, counted node by node: for tests.
  [[nodiscard]] TierBlocks census() const;

 private:
  struct Entry {
    std::uint64_t key = 0;
    Node parent = -1;
    std::int32_t length = 0;    ///< blocks
    std::int32_t locks = 0;     ///< sequences that end here and children that are locked
    std::int32_t children = 0;  ///< in any tier
    std::int32_t tier = 0;
    Node before = -1, after = -1;  ///< in the order of overwriting, when not locked
  };
  struct Order {
    Node first = -1, last = -1;
  };
  /// Walks down from the root along a request's blocks.
  struct Walk;

  Entry& at(Node node) { return entries_[static_cast<std::size_t>(node)]; }
  [[nodiscard]] const Entry& at(Node node) const { return entries_[static_cast<std::size_t>(node)]; }
  Node make(Node parent, std::uint64_t key, std::int32_t length, int tier);
  void erase(Node node);
  /// Cuts `node` after `length` blocks; the upper part is new and returned, the lower keeps its name.
  Node split(Node node, std::int32_t length);
  void link_last(Node node);
  void link_after(Node node, Node before);
  void unlink(Node node);
  std::int32_t lock(Node node);
  std::int32_t unlock(Node node);
  void raise(Node node);
  void shrink(int tier, std::int64_t keep);
  void move_down(Node node, int tier);

  std::int32_t block_tokens_;
  TierBlocks capacity_;
  std::vector<Entry> entries_;
  std::vector<Node> free_;
  ChildTable children_;
  std::array<Order, kKvTiers> order_{};
  TierBlocks idle_{};
  std::int64_t locked_ = 0;
  Counts counts_;
};

}  // namespace moeplan
