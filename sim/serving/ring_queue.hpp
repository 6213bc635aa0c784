// A first-in first-out queue in one ring of memory: grows by doubling, never allocates once it has seen its longest length.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace moeplan {

template <class T>
class RingQueue {
 public:
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// REQUIRES: not empty.
  [[nodiscard]] const T& front() const { return items_[head_]; }

  /// The item `behind` places after the first. REQUIRES: behind < size().
  [[nodiscard]] const T& peek(std::size_t behind) const { return items_[(head_ + behind) & (items_.size() - 1)]; }
  /// That item becomes the first, the others keep their order.
  void bring_forward(std::size_t behind) {
    const T item = peek(behind);
    for (; behind > 0; --behind) items_[(head_ + behind) & (items_.size() - 1)] = peek(behind - 1);
    items_[head_ & (items_.size() - 1)] = item;
  }

  void push_back(const T& item) {
    if (size_ == items_.size()) enlarge();
    items_[(head_ + size_) & (items_.size() - 1)] = item;
    ++size_;
  }
  /// REQUIRES: not empty.
  void pop_front() {
    MOEPLAN_CHECK(size_ > 0);
    head_ = (head_ + 1) & (items_.size() - 1);
    --size_;
  }

 private:
  void enlarge() {
    std::vector<T> larger(items_.empty() ? 16 : items_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move(items_[(head_ + i) & (items_.size() - 1)]);
    items_ = std::move(larger);
    head_ = 0;
  }
  std::vector<T> items_;  // length: a power of two
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace moeplan
