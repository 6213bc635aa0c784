#include "serving/speculation.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

SpeculationReport& SpeculationReport::operator+=(const SpeculationReport& other) {
  drafted += other.drafted;
  accepted += other.accepted;
  rejected += other.rejected;
  verified += other.verified;
  made += other.made;
  accepted_by_position.resize(std::max(accepted_by_position.size(), other.accepted_by_position.size()));
  for (std::size_t i = 0; i < other.accepted_by_position.size(); ++i) accepted_by_position[i] += other.accepted_by_position[i];
  return *this;
}

Speculation::Speculation(const SpeculationConfig& config, std::uint64_t seed, std::int32_t replica)
    : config_(config), random_(seed, "speculation/replica", static_cast<std::uint64_t>(replica)) {
  double tail = 1;
  double crowded = 1;
  for (const double p : config.acceptance) {
    MOEPLAN_CHECK(p >= 0 && p <= 1);
    tail_.push_back(tail *= p);
    crowded_.push_back(crowded *= p * config.crowded_factor);
  }
  report_.accepted_by_position.assign(tail_.size(), 0);
}

void Speculation::remove(SlotIndex slot) {
  const auto at = std::find(decoding_.begin(), decoding_.end(), slot);
  MOEPLAN_CHECK(at != decoding_.end());
  decoding_.erase(at);
}

std::int32_t Speculation::verify(std::int32_t drafts, std::int32_t left) {
  const bool crowd = config_.crowded_above > 0 && static_cast<std::int32_t>(decoding_.size()) > config_.crowded_above;
  const std::vector<double>& tail = crowd ? crowded_ : tail_;
  std::int32_t accepted = 0;
  if (drafts > 0) {
    const double u = random_.uniform();
    while (accepted < drafts && u < tail[static_cast<std::size_t>(accepted)]) ++accepted;
  }
  accepted = std::min(accepted, left - 1);
  for (std::int32_t i = 0; i < accepted; ++i) ++report_.accepted_by_position[static_cast<std::size_t>(i)];
  report_.drafted += drafts;
  report_.accepted += accepted;
  report_.rejected += drafts - accepted;
  ++report_.verified;
  report_.made += accepted + 1;
  return accepted + 1;
}

}  // namespace moeplan
