#include "serving/node_failures.hpp"

#include "base/error.hpp"

namespace moeplan {

NodeFailures::NodeFailures(const FailureConfig& config, int nodes, std::uint64_t seed) : config_(config), down_(static_cast<std::size_t>(nodes), false) {
  for (const GivenFailure& f : config_.given) {
    MOEPLAN_CHECK(f.node >= 0 && f.node < nodes);
    pending_.push({f.at, f.node, false});
  }
  if (!(config_.failures_per_node_year > 0)) return;
  for (int node = 0; node < nodes; ++node) {
    streams_.emplace_back(seed, "failures/node", static_cast<std::uint64_t>(node));
    draw(node, SimTime{0});
  }
}

void NodeFailures::draw(int node, SimTime from) {
  constexpr double kSecondsPerYear = 8766.0 * 3600.0;
  constexpr double kHorizon = 100 * kSecondsPerYear;  // fits SimTime
  const double gap = streams_[static_cast<std::size_t>(node)].exponential() * kSecondsPerYear / config_.failures_per_node_year;
  if (gap < kHorizon) pending_.push({from + to_sim_time(Seconds(gap)), node, false});
}

NodeFailures::Event NodeFailures::pop() {
  Event event = pending_.top();
  pending_.pop();
  const auto node = static_cast<std::size_t>(event.node);
  if (event.up) {
    down_[node] = false;
    if (!streams_.empty()) draw(event.node, event.at);
  } else if (!down_[node]) {
    down_[node] = true;
    pending_.push({event.at + to_sim_time(config_.restart), event.node, true});
  }
  return event;
}

}  // namespace moeplan
