#include "serving/link_sharing.hpp"

#include <algorithm>
#include <cmath>

namespace moeplan {
namespace {

constexpr double kDrift = 0.1;

bool drifted(double now, double told) { return std::abs(now - told) > kDrift * told; }

}  // namespace

void LinkSharing::update(SimTime now, std::deque<Replica>& replicas) {
  if (network_ == nullptr) return;
  double bytes = 0, card_seconds = 0, step_seconds = 0;
  for (const Replica& replica : replicas) {
    bytes += replica.sent().bytes;
    card_seconds += replica.sent().card_seconds;
    step_seconds += replica.sent().step_seconds;
  }
  if (bytes > 0 && card_seconds > 0) {
    const double burst = bytes / card_seconds;
    const double mean = std::min(burst, bytes / step_seconds);
    if (drifted(mean, mean_) || drifted(burst, burst_)) {
      mean_ = mean;
      burst_ = burst;
    }
  }
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    network_->set_load(now, static_cast<LoadId>(i), replicas[i].has_work(), mean_, burst_);
  }
  for (std::size_t i = 0; i < replicas.size(); ++i) replicas[i].set_network_slowdown(network_->slowdown(static_cast<LoadId>(i)));
}

}  // namespace moeplan
