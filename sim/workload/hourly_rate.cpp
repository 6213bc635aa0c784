#include "workload/hourly_rate.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace moeplan {

HourlyRate::HourlyRate(std::span<const double> factors) : identity_(factors.empty()) {
  if (identity_) return;
  MOEPLAN_CHECK(factors.size() == factors_.size());
  for (std::size_t h = 0; h < factors_.size(); ++h) {
    MOEPLAN_CHECK(factors[h] >= 0 && std::isfinite(factors[h]));
    factors_[h] = factors[h];
    cumulative_[h + 1] = cumulative_[h] + 3600.0 * factors[h];
  }
  MOEPLAN_CHECK(cumulative_[24] > 0);
}

double HourlyRate::warp(double s) const {
  const double day = std::floor(s / cumulative_[24]);
  const double rest = std::clamp(s - day * cumulative_[24], 0.0, cumulative_[24]);
  // The first hour that ends at or after `rest` and in which time runs at all.
  auto hour = static_cast<std::size_t>(std::lower_bound(cumulative_.begin() + 1, cumulative_.end(), rest) - cumulative_.begin() - 1);
  while (hour < 24 && factors_[hour] == 0) ++hour;
  if (hour >= 24) return (day + 1.0) * 86400.0;
  return day * 86400.0 + 3600.0 * static_cast<double>(hour) + (rest - cumulative_[hour]) / factors_[hour];
}

}  // namespace moeplan
