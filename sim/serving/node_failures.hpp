// When nodes fail and when they are back: at given times, or at random with exponential times between failures, each node by itself.
// A node is down for a fixed time. Left out: failures of single GPUs, links or switches, and failures that come together.
#pragma once

#include <algorithm>
#include <cstdint>
#include <queue>
#include <vector>

#include "base/random.hpp"
#include "base/units.hpp"

namespace moeplan {

struct GivenFailure {
  int node = 0;
  SimTime at{0};
};

struct FailureConfig {
  double failures_per_node_year = 0;  ///< at random; 0: none
  std::vector<GivenFailure> given;
  Seconds restart{600};               ///< until the node can start replicas again
  int retries = 3;                    ///< of a request after its first attempt
  Seconds back_off{1};                ///< before the first retry; twice as long before each further one
  [[nodiscard]] bool on() const { return failures_per_node_year > 0 || !given.empty(); }
  /// Before a request's retry after its `attempt`-th loss, from 1.
  [[nodiscard]] Seconds wait_before(int attempt) const { return Seconds(back_off.value() * static_cast<double>(1LL << std::min(attempt - 1, 20))); }
};

class NodeFailures {
 public:
  /// REQUIRES: failures are given or at random, not both; given nodes are below `nodes`.
  NodeFailures(const FailureConfig& config, int nodes, std::uint64_t seed);

  struct Event {
    SimTime at{0};
    int node = 0;
    bool up = false;  ///< else it fails
  };
  /// kNever when no more come.
  [[nodiscard]] SimTime next_time() const { return pending_.empty() ? kNever : pending_.top().at; }
  /// Takes the next event. A node that is down may be said to fail again: nothing more comes of it. REQUIRES: there is one.
  Event pop();
  [[nodiscard]] bool down(int node) const { return down_[static_cast<std::size_t>(node)]; }

 private:
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      if (a.at != b.at) return a.at > b.at;
      if (a.up != b.up) return b.up;
      return a.node > b.node;
    }
  };
  void draw(int node, SimTime from);

  FailureConfig config_;
  std::vector<RandomStream> streams_;
  std::vector<bool> down_;
  std::priority_queue<Event, std::vector<Event>, Later> pending_;
};

}  // namespace moeplan
