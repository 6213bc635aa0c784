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
  all_.clear();
  for (Replica& replica : replicas) all_.push_back(&replica);
  update(now, all_);
}

void LinkSharing::update(SimTime now, std::span<Replica* const> replicas) {
  if (network_ == nullptr) return;
  double bytes = 0, card_seconds = 0, step_seconds = 0;
  for (const Replica* replica : replicas) {
    if (replica == nullptr) continue;
    bytes += replica->sent().bytes;
    card_seconds += replica->sent().card_seconds;
    step_seconds += replica->sent().step_seconds;
  }
  if (bytes > 0 && card_seconds > 0) {
    const double burst = bytes / card_seconds;
    const double mean = std::min(burst, bytes / step_seconds);
    if (drifted(mean, mean_) || drifted(burst, burst_)) {
      mean_ = mean;
      burst_ = burst;
    }
  }
  const auto load = [&](std::size_t i) { return first_ + static_cast<LoadId>(i); };
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    network_->set_load(now, load(i), replicas[i] != nullptr && replicas[i]->has_work(), mean_, burst_);
  }
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    if (replicas[i] != nullptr) replicas[i]->set_network_slowdown(network_->slowdown(load(i)));
  }
}

}  // namespace moeplan
