// A rate from stays: each request counts by the share of its stay that falls into a window, its tokens with it. With N requests in the system at
// any time that is N / (mean stay), Little's law, whatever the window's length and however its ends cut through the requests.
//
// A closed loop stays from arrival to last token, in the window from the first measured arrival to the last: its clients send the next request
// as one ends, so that completions come in waves and a window that begins and ends with an arrival holds a wave too many. An overloaded machine is
// seen from the moment a request enters a step, in the window that ends as the last one does: until then somebody waits, and it works flat out.
#pragma once

#include <algorithm>
#include <vector>

#include "serving/observer.hpp"

namespace moeplan {

/// In memory for what ended beyond the end that is known so far: about what is in service at a time.
class StayRate {
 public:
  struct Stay {
    SimTime came, left;
    std::int32_t output_tokens = 0, prompt_tokens = 0;
  };

  void start_at(SimTime start) {
    start_ = start;
    end_ = std::max(end_, start);
  }
  [[nodiscard]] bool started() const { return start_ != kNever; }
  /// The window reaches to `at` or further.
  void reach(SimTime at) {
    if (at <= end_) return;
    end_ = at;
    const auto decided = std::partition(pending_.begin(), pending_.end(), [&](const Stay& s) { return s.left > end_; });
    for (auto s = decided; s != pending_.end(); ++s) count(*s);
    pending_.erase(decided, pending_.end());
  }
  void add(const Stay& stay) {
    if (stay.left > end_) {
      pending_.push_back(stay);
    } else {
      count(stay);
    }
  }
  /// The window ends where it has got to.
  void finish() {
    for (const Stay& s : pending_) count(s);
    pending_.clear();
  }

  // Within the window, after finish().
  double requests = 0;
  double output_tokens = 0;
  double prompt_tokens = 0;
  /// 0 where nothing was measured.
  [[nodiscard]] double seconds() const { return start_ == kNever ? 0.0 : to_seconds(end_ - start_).value(); }

 private:
  void count(const Stay& s) {
    if (start_ == kNever || s.left <= start_ || s.left <= s.came) return;
    const SimTime within = std::min(s.left, end_) - std::max(s.came, start_);
    if (within.count() <= 0) return;
    const double share = static_cast<double>(within.count()) / static_cast<double>((s.left - s.came).count());
    requests += share;
    output_tokens += share * s.output_tokens;
    prompt_tokens += share * s.prompt_tokens;
  }

  SimTime start_ = kNever;
  SimTime end_{-1};
  std::vector<Stay> pending_;
};

inline StayRate::Stay stay_in_system(const FinishedRequest& r) { return {r.spec.arrival, r.last_token, r.spec.output_tokens, r.spec.prompt_tokens}; }
inline StayRate::Stay stay_in_service(const FinishedRequest& r) { return {r.scheduled, r.last_token, r.spec.output_tokens, r.spec.prompt_tokens}; }

}  // namespace moeplan
