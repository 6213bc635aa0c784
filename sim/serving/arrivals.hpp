// The arrivals that are decided but have not happened: one at most for an open source, as many as clients wait for a closed one. Ordered by
// (arrival, id) whatever order completions make a closed source issue them in. Requests that a full queue turned away come again from here.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <queue>
#include <vector>

#include "base/error.hpp"
#include "workload/request_source.hpp"

namespace moeplan {

class Arrivals {
 public:
  explicit Arrivals(RequestSource& source) : source_(source), closed_(source.closed()) { draw(); }

  /// kNever when none is decided.
  [[nodiscard]] SimTime next_time() const {
    if (closed_) return std::min(decided_.empty() ? kNever : decided_.top().arrival, again_.empty() ? kNever : again_.begin()->first);
    return next_ ? next_->arrival : kNever;
  }
  /// The next arrival, nothing when none is decided.
  std::optional<RequestSpec> pop() {
    std::optional<RequestSpec> popped;
    if (closed_) {
      if (decided_.empty()) return popped;
      popped = decided_.top();
      decided_.pop();
      source_.on_arrived(popped->id);
      draw();
    } else {
      popped = next_;
      if (next_) draw();
    }
    if (popped) {
      MOEPLAN_CHECK(popped->arrival >= now_);
      now_ = popped->arrival;
    }
    return popped;
  }
  /// A full queue turned `spec` away: whether its client sends it again, which pop_again() then gives.
  bool turned_away(const RequestSpec& spec, SimTime now) {
    const SimTime wait = closed_ ? source_.retry_after(spec) : SimTime{0};
    if (wait == SimTime{0}) return false;
    again_.emplace(now + wait, spec);
    return true;
  }
  /// The next request that comes again at `now`, nothing when none does.
  std::optional<RequestSpec> pop_again(SimTime now) {
    if (again_.empty() || again_.begin()->first > now) return std::nullopt;
    RequestSpec spec = again_.begin()->second;
    again_.erase(again_.begin());
    return spec;
  }
  /// A closed source was told of a completion.
  void refresh() {
    if (closed_) draw();
  }

 private:
  struct Later {
    bool operator()(const RequestSpec& a, const RequestSpec& b) const {
      return a.arrival != b.arrival ? a.arrival > b.arrival : a.id > b.id;
    }
  };
  void draw() {
    if (!closed_) {
      next_ = source_.next();
      return;
    }
    while (const auto spec = source_.next()) decided_.push(*spec);
  }
  RequestSource& source_;
  bool closed_;
  SimTime now_{0};
  std::multimap<SimTime, RequestSpec> again_;  ///< by when
  std::optional<RequestSpec> next_;
  std::priority_queue<RequestSpec, std::vector<RequestSpec>, Later> decided_;
};

}  // namespace moeplan
