// Requests that wait for a replica, in the order in which it takes them: by arrival, or by priority and then arrival.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "serving/ring_queue.hpp"
#include "workload/request_source.hpp"

namespace moeplan {

class WaitingQueue {
 public:
  explicit WaitingQueue(bool by_priority) : by_priority_(by_priority), levels_(1) {}

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// REQUIRES: not empty.
  [[nodiscard]] const RequestSpec& front() const { return head().front(); }
  /// The request `behind` places after the first of its priority. REQUIRES: there is one.
  [[nodiscard]] const RequestSpec& peek(std::size_t behind) const { return head().peek(behind); }
  /// How many requests share the first one's priority.
  [[nodiscard]] std::size_t peers() const { return head().size(); }
  /// The request `behind` places after the first becomes the first, the others keep their order.
  void bring_forward(std::size_t behind) { levels_[first_].queue.bring_forward(behind); }

  /// All of them, by priority and then arrival.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const Level& l : levels_) {
      for (std::size_t i = 0; i < l.queue.size(); ++i) visit(l.queue.peek(i));
    }
  }

  void push_back(const RequestSpec& spec) {
    level(spec).push_back(spec);
    ++size_;
  }
  void pop_front() {
    levels_[first_].queue.pop_front();
    --size_;
    settle();
  }

 private:
  struct Level {
    std::int32_t priority = 0;
    RingQueue<RequestSpec> queue;
  };
  [[nodiscard]] const RingQueue<RequestSpec>& head() const { return levels_[first_].queue; }
  RingQueue<RequestSpec>& level(const RequestSpec& spec) {
    if (!by_priority_) return levels_.front().queue;
    std::size_t at = 0;
    while (at < levels_.size() && levels_[at].priority > spec.priority) ++at;
    if (at == levels_.size() || levels_[at].priority != spec.priority) {
      levels_.insert(levels_.begin() + static_cast<std::ptrdiff_t>(at), Level{spec.priority, {}});
      if (size_ > 0 && at <= first_) ++first_;
    }
    if (at < first_ || size_ == 0) first_ = at;
    return levels_[at].queue;
  }
  /// To the first level with somebody in it.
  void settle() {
    while (size_ > 0 && levels_[first_].queue.empty()) ++first_;
  }

  bool by_priority_;
  std::vector<Level> levels_;  ///< by falling priority
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace moeplan
