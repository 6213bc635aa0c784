#include "serving/prefix_cache.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

struct PrefixCache::Walk {
  Walk(const RequestSpec& spec, std::int32_t block_tokens) : prompt(spec, block_tokens), run(prompt.next()) {}
  /// `blocks` more lie behind. REQUIRES: not more than the run has left.
  void pass(std::int32_t blocks) {
    done += blocks;
    run.blocks -= blocks;
    if (run.blocks == 0) run = prompt.next();
  }
  PromptBlocks prompt;
  BlockRun run;
  std::int32_t done = 0;
};

PrefixCache::PrefixCache(std::int32_t block_tokens, const TierBlocks& lower_capacity) : block_tokens_(block_tokens), capacity_(lower_capacity) {
  MOEPLAN_CHECK(block_tokens > 0);
  entries_.emplace_back();
  entries_[0].locks = 1;
}

PrefixCache::Match PrefixCache::match(const RequestSpec& spec, std::int32_t limit) const {
  Match found;
  Walk walk(spec, block_tokens_);
  Node node = kRoot;
  while (walk.done < limit) {
    node = children_.find(node, walk.run.key);
    if (node == ChildTable::kNone) break;
    const std::int32_t n = std::min({at(node).length, walk.run.blocks, limit - walk.done});
    found.blocks[static_cast<std::size_t>(at(node).tier)] += n;
    if (at(node).locks > 0) found.locked += n;
    if (n < at(node).length) break;
    walk.pass(n);
  }
  return found;
}

PrefixCache::Path PrefixCache::acquire(const RequestSpec& spec, std::int32_t limit, int deepest) {
  Path path;
  Walk walk(spec, block_tokens_);
  while (walk.done < limit) {
    Node child = children_.find(path.node, walk.run.key);
    if (child == ChildTable::kNone || at(child).tier > deepest) break;
    const std::int32_t n = std::min({at(child).length, walk.run.blocks, limit - walk.done});
    const bool part = n < at(child).length;
    if (part) child = split(child, n);
    if (at(child).tier > 0) {
      (at(child).tier == 1 ? counts_.fetched_host : counts_.fetched_nvme) += n;
      raise(child);
    }
    path.node = child;
    walk.pass(n);
    if (part) break;
  }
  path.blocks = walk.done;
  if (path.node != kRoot) path.woken = lock(path.node);
  return path;
}

std::int32_t PrefixCache::extend(const RequestSpec& spec, Path& path, std::int32_t blocks) {
  if (blocks <= path.blocks) return 0;
  Walk walk(spec, block_tokens_);
  while (walk.done < path.blocks) walk.pass(std::min(walk.run.blocks, path.blocks - walk.done));
  Node node = path.node;
  std::int32_t freed = 0;
  while (walk.done < blocks) {
    std::int32_t n = std::min(walk.run.blocks, blocks - walk.done);
    Node child = children_.find(node, walk.run.key);
    if (child != ChildTable::kNone) {
      n = std::min(n, at(child).length);
      if (n < at(child).length) child = split(child, n);
      if (at(child).tier > 0) {
        counts_.recomputed += n;
        raise(child);
      } else if (at(child).locks > 0) {
        freed += n;
      }
      node = child;
    } else {
      counts_.inserted += n;
      const bool grows = node == path.node && node != kRoot && at(node).key == walk.run.key && at(node).children == 0 && at(node).locks == 1;
      if (grows) {
        at(node).length += n;
        locked_ += n;
      } else {
        node = make(node, walk.run.key, n, 0);
      }
    }
    walk.pass(n);
  }
  path.blocks = blocks;
  if (node != path.node) {
    lock(node);
    if (path.node != kRoot) unlock(path.node);
    path.node = node;
  }
  return freed;
}

std::int32_t PrefixCache::release(const Path& path) { return path.node == kRoot ? 0 : unlock(path.node); }

PrefixCache::Node PrefixCache::make(Node parent, std::uint64_t key, std::int32_t length, int tier) {
  Node node = static_cast<Node>(entries_.size());
  if (free_.empty()) {
    entries_.emplace_back();
  } else {
    node = free_.back();
    free_.pop_back();
    at(node) = Entry{};
  }
  Entry& e = at(node);
  e.key = key;
  e.parent = parent;
  e.length = length;
  e.tier = tier;
  ++at(parent).children;
  children_.insert(parent, key, node);
  link_last(node);
  idle_[static_cast<std::size_t>(tier)] += length;
  return node;
}

void PrefixCache::erase(Node node) {
  const Entry& e = at(node);
  MOEPLAN_CHECK(e.children == 0 && e.locks == 0);
  unlink(node);
  --at(e.parent).children;
  children_.erase(e.parent, e.key);
  free_.push_back(node);
}

PrefixCache::Node PrefixCache::split(Node node, std::int32_t length) {
  const Node parent = at(node).parent;
  const std::uint64_t key = at(node).key;
  Node upper = static_cast<Node>(entries_.size());
  if (free_.empty()) {
    entries_.emplace_back();
  } else {
    upper = free_.back();
    free_.pop_back();
  }
  Entry e;
  e.key = key;
  e.parent = parent;
  e.length = length;
  e.tier = at(node).tier;
  e.children = 1;
  e.locks = at(node).locks > 0 ? 1 : 0;
  at(upper) = e;
  at(node).length -= length;
  at(node).parent = upper;
  children_.replace(parent, key, upper);
  children_.insert(upper, key, node);
  if (e.locks == 0) link_after(upper, node);
  return upper;
}

void PrefixCache::link_last(Node node) {
  Order& order = order_[static_cast<std::size_t>(at(node).tier)];
  at(node).before = order.last;
  at(node).after = -1;
  (order.last < 0 ? order.first : at(order.last).after) = node;
  order.last = node;
}

void PrefixCache::link_after(Node node, Node before) {
  Order& order = order_[static_cast<std::size_t>(at(node).tier)];
  const Node after = at(before).after;
  at(node).before = before;
  at(node).after = after;
  at(before).after = node;
  (after < 0 ? order.last : at(after).before) = node;
}

void PrefixCache::unlink(Node node) {
  const Entry& e = at(node);
  Order& order = order_[static_cast<std::size_t>(e.tier)];
  (e.before < 0 ? order.first : at(e.before).after) = e.after;
  (e.after < 0 ? order.last : at(e.after).before) = e.before;
}

// Locks the path from the root; a node counts its locked children once each, so the climb ends where the path was locked already.
std::int32_t PrefixCache::lock(Node node) {
  std::int32_t woken = 0;
  for (; at(node).locks++ == 0; node = at(node).parent) {
    unlink(node);
    idle_[0] -= at(node).length;
    woken += at(node).length;
  }
  locked_ += woken;
  return woken;
}

std::int32_t PrefixCache::unlock(Node node) {
  std::int32_t idle = 0;
  for (; --at(node).locks == 0; node = at(node).parent) {
    link_last(node);
    idle += at(node).length;
  }
  idle_[0] += idle;
  locked_ -= idle;
  return idle;
}

// To the GPU, not locked yet.
void PrefixCache::raise(Node node) {
  unlink(node);
  idle_[static_cast<std::size_t>(at(node).tier)] -= at(node).length;
  at(node).tier = 0;
  idle_[0] += at(node).length;
  link_last(node);
}

// A node's children stand before it in the order of their tier, or in a lower one: the first node of the last tier has none.
void PrefixCache::shrink(int tier, std::int64_t keep) {
  const auto t = static_cast<std::size_t>(tier);
  const bool below = tier + 1 < kKvTiers && capacity_[t + 1] > 0;
  while (idle_[t] > keep) {
    const Node node = order_[t].first;
    const std::int64_t excess = idle_[t] - keep;
    std::int64_t n = std::min<std::int64_t>(at(node).length, excess);
    if (below) n = std::min(n, capacity_[t + 1]);
    if (n == at(node).length) {
      idle_[t] -= n;
      if (below) {
        move_down(node, tier + 1);
      } else {
        erase(node);
        counts_.dropped[t] += n;
      }
    } else if (below) {
      split(node, at(node).length - static_cast<std::int32_t>(n));
    } else {
      at(node).length -= static_cast<std::int32_t>(n);
      idle_[t] -= n;
      counts_.dropped[t] += n;
    }
  }
}

void PrefixCache::move_down(Node node, int tier) {
  const auto t = static_cast<std::size_t>(tier);
  unlink(node);
  shrink(tier, capacity_[t] - at(node).length);
  at(node).tier = tier;
  link_last(node);
  idle_[t] += at(node).length;
  counts_.moved_down[t] += at(node).length;
}

PrefixCache::Counts& PrefixCache::Counts::operator+=(const Counts& other) {
  inserted += other.inserted;
  fetched_host += other.fetched_host;
  fetched_nvme += other.fetched_nvme;
  recomputed += other.recomputed;
  for (std::size_t i = 0; i < dropped.size(); ++i) {
    moved_down[i] += other.moved_down[i];
    dropped[i] += other.dropped[i];
  }
  return *this;
}

TierBlocks PrefixCache::census() const {
  std::vector<bool> used(entries_.size(), true);
  for (const Node node : free_) used[static_cast<std::size_t>(node)] = false;
  TierBlocks blocks{};
  for (std::size_t i = 1; i < entries_.size(); ++i) {
    if (used[i]) blocks[static_cast<std::size_t>(entries_[i].tier)] += entries_[i].length;
  }
  return blocks;
}

}  // namespace moeplan
