// Tables that fill themselves on first touch. A node's value depends on the node alone, so the order of touching never shows; any number of
// threads may read one table. What a simulation never visits is never computed.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "calibration/kernel_shapes.hpp"

namespace moeplan {

/// Nodes holding a KernelTime each in one atomic word: the seconds with `origin + 1` in the three lowest bits of the mantissa (a relative
/// change below 2e-15), 0 while not built. Two threads may build the same node; they store the same word.
class LazyTimes {
 public:
  explicit LazyTimes(std::size_t nodes) : words_(nodes) {}

  template <class Build>
  [[nodiscard]] KernelTime at(std::size_t node, Build&& build) const {
    std::uint64_t word = words_[node].load(std::memory_order_relaxed);
    if (word == 0) [[unlikely]] {
      word = pack(build());
      words_[node].store(word, std::memory_order_relaxed);
    }
    return {std::bit_cast<double>(word & ~kOriginMask), static_cast<Origin>((word & kOriginMask) - 1)};
  }

 private:
  static constexpr std::uint64_t kOriginMask = 7;
  static std::uint64_t pack(KernelTime t) {
    return (std::bit_cast<std::uint64_t>(t.seconds) & ~kOriginMask) | (static_cast<std::uint64_t>(t.origin) + 1);
  }
  mutable std::vector<std::atomic<std::uint64_t>> words_;
};

/// Nodes of any type, each behind a pointer that is published once built.
template <class Row>
class LazyRows {
 public:
  explicit LazyRows(std::size_t nodes) : ready_(nodes), rows_(nodes) {}

  template <class Build>
  [[nodiscard]] const Row& at(std::size_t node, Build&& build) const {
    const Row* row = ready_[node].load(std::memory_order_acquire);
    if (row != nullptr) [[likely]]
      return *row;
    auto fresh = std::make_unique<Row>(build());
    const std::lock_guard lock(mutex_);
    if (!rows_[node]) {
      rows_[node] = std::move(fresh);
      ready_[node].store(rows_[node].get(), std::memory_order_release);
    }
    return *rows_[node];
  }

 private:
  mutable std::vector<std::atomic<const Row*>> ready_;
  mutable std::vector<std::unique_ptr<Row>> rows_;
  mutable std::mutex mutex_;
};

}  // namespace moeplan
