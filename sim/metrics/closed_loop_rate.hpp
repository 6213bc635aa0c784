// Throughput of a closed loop. Its clients send the next request as one ends, so that completions come in waves and a window that begins and
// ends with an arrival holds a wave too many; counted there, a short run shows any rate. Each request counts instead by the share of its time
// in the system that falls into the window, its tokens with it: with N clients that is N / (mean end-to-end latency), Little's law, whatever
// the window's length.
#pragma once

#include <algorithm>
#include <vector>

#include "metrics/measured_requests.hpp"

namespace moeplan {

/// In constant memory: what ended after the last arrival seen waits, at most one request per client.
class ClosedLoopRate {
 public:
  explicit ClosedLoopRate(const MeasuredRequests& measured) : measured_(measured) {}

  void on_arrival(const RequestSpec& spec) {
    last_arrival_ = spec.arrival;
    if (spec.id == measured_.first()) start_ = spec.arrival;
    const auto decided = std::partition(pending_.begin(), pending_.end(), [&](const Stay& s) { return s.left > last_arrival_; });
    for (auto s = decided; s != pending_.end(); ++s) count(*s);
    pending_.erase(decided, pending_.end());
  }
  void on_finished(const FinishedRequest& request) {
    const Stay stay{request.spec.arrival, request.last_token, static_cast<double>(request.spec.output_tokens),
                    static_cast<double>(request.spec.prompt_tokens)};
    if (stay.left > last_arrival_) {
      pending_.push_back(stay);
    } else {
      count(stay);
    }
  }
  /// The window ends with the last arrival.
  void finish() {
    for (const Stay& s : pending_) count(s);
    pending_.clear();
  }

  // Within the window, after finish().
  double requests = 0;
  double output_tokens = 0;
  double prompt_tokens = 0;

 private:
  struct Stay {
    SimTime came, left;
    double output_tokens, prompt_tokens;
  };
  void count(const Stay& s) {
    if (start_ == kNever || s.left <= start_ || s.left <= s.came) return;
    const SimTime within = std::min(s.left, last_arrival_) - std::max(s.came, start_);
    if (within.count() <= 0) return;
    const double share = static_cast<double>(within.count()) / static_cast<double>((s.left - s.came).count());
    requests += share;
    output_tokens += share * s.output_tokens;
    prompt_tokens += share * s.prompt_tokens;
  }

  MeasuredRequests measured_;
  SimTime start_ = kNever;
  SimTime last_arrival_{-1};
  std::vector<Stay> pending_;
};

}  // namespace moeplan
