// Finds the child of a tree node by its key: open addressing with linear probing, so that a look-up is one or two cache lines and nothing is
// allocated once the table has grown to its largest.
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.hpp"

namespace moeplan {

class ChildTable {
 public:
  static constexpr std::int32_t kNone = -1;

  /// The child of `parent` under `key`, kNone without one.
  [[nodiscard]] std::int32_t find(std::int32_t parent, std::uint64_t key) const {
    for (std::size_t at = home(parent, key);; at = (at + 1) & mask()) {
      const Entry& e = entries_[at];
      if (e.child == kNone) return kNone;
      if (e.key == key && e.parent == parent) return e.child;
    }
  }
  /// REQUIRES: no child there yet.
  void insert(std::int32_t parent, std::uint64_t key, std::int32_t child) {
    if ((size_ + 1) * 2 > entries_.size()) enlarge();
    put({key, parent, child});
    ++size_;
  }
  /// Names another child. REQUIRES: there is one.
  void replace(std::int32_t parent, std::uint64_t key, std::int32_t child) { entries_[place(parent, key)].child = child; }
  /// REQUIRES: there is one.
  void erase(std::int32_t parent, std::uint64_t key) {
    std::size_t hole = place(parent, key);
    --size_;
    // Entries behind the hole move up unless that would put them before their home.
    for (std::size_t at = (hole + 1) & mask(); entries_[at].child != kNone; at = (at + 1) & mask()) {
      const std::size_t want = home(entries_[at].parent, entries_[at].key);
      if (((at - want) & mask()) < ((at - hole) & mask())) continue;
      entries_[hole] = entries_[at];
      hole = at;
    }
    entries_[hole].child = kNone;
  }

 private:
  struct Entry {
    std::uint64_t key = 0;
    std::int32_t parent = 0;
    std::int32_t child = kNone;
  };
  [[nodiscard]] std::size_t mask() const { return entries_.size() - 1; }
  [[nodiscard]] std::size_t home(std::int32_t parent, std::uint64_t key) const {
    std::uint64_t h = (key ^ (static_cast<std::uint64_t>(static_cast<std::uint32_t>(parent)) * 0x9E3779B97F4A7C15u)) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
    return static_cast<std::size_t>(h * 0x9E3779B97F4A7C15u >> 20) & mask();
  }
  [[nodiscard]] std::size_t place(std::int32_t parent, std::uint64_t key) const {
    std::size_t at = home(parent, key);
    while (entries_[at].child == kNone || entries_[at].key != key || entries_[at].parent != parent) {
      MOEPLAN_CHECK(entries_[at].child != kNone);
      at = (at + 1) & mask();
    }
    return at;
  }
  void put(const Entry& e) {
    std::size_t at = home(e.parent, e.key);
    while (entries_[at].child != kNone) at = (at + 1) & mask();
    entries_[at] = e;
  }
  void enlarge() {
    std::vector<Entry> old(entries_.size() * 2);
    old.swap(entries_);
    for (const Entry& e : old) {
      if (e.child != kNone) put(e);
    }
  }
  std::vector<Entry> entries_ = std::vector<Entry>(64);
  std::size_t size_ = 0;
};

}  // namespace moeplan
