// Draws token counts from a length distribution. One struct and a switch: a draw costs a few nanoseconds.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.hpp"
#include "workload/workload_config.hpp"

namespace moeplan {

class LengthSampler {
 public:
  /// Any kind but trace, whose lengths are read, not drawn.
  explicit LengthSampler(const LengthConfig& config);

  /// Tokens of one request, at least 1. Lognormal values are rounded to the nearest token and clamped to [low, high].
  std::int32_t draw(RandomStream& random) const {
    switch (kind_) {
      case LengthKind::kFixed: return low_;
      case LengthKind::kUniform: return low_ + static_cast<std::int32_t>(random.below(range_));
      default: return draw_slow(random);
    }
  }

 private:
  [[nodiscard]] std::int32_t draw_slow(RandomStream& random) const;

  LengthKind kind_;
  std::int32_t low_ = 1;
  std::int32_t high_ = 1;
  std::uint32_t range_ = 1;
  double median_ = 0;
  double sigma_ = 0;
  std::vector<std::int32_t> tokens_;
  std::vector<double> cumulative_;  ///< of the weights, ending at their sum
};

/// Mean of the draws; 0 for lengths of a trace.
double mean_tokens(const LengthConfig& config);

/// Probability that a draw has `tokens` or more; 0 for lengths of a trace.
double share_of_at_least(const LengthConfig& config, std::int64_t tokens);

/// Probability that draws of both add up to `tokens` or more, to three digits; 0 where one is the lengths of a trace.
double share_of_sum_at_least(const LengthConfig& a, const LengthConfig& b, std::int64_t tokens);

/// Throws InputError(`where`, ...) when a distribution makes no sense (low above high, no bins, weights not positive, ...).
void check_lengths(const LengthConfig& config, std::string_view where);

}  // namespace moeplan
