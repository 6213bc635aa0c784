// The daily rhythm of traffic as a change of clock: a process of constant rate runs in operational time, and 24 factors say how fast that
// runs in each hour of simulated time. For Poisson arrivals this is exactly the inhomogeneous process; a trace is stretched and squeezed.
#pragma once

#include <array>
#include <span>

namespace moeplan {

class HourlyRate {
 public:
  /// Empty: a factor of 1 always. Otherwise 24 finite factors, none negative, not all zero.
  explicit HourlyRate(std::span<const double> factors);

  /// The simulated time in seconds at which operational time `s` (seconds at factor 1, >= 0) is reached; increasing in `s`.
  [[nodiscard]] double simulated(double s) const { return identity_ ? s : warp(s); }
  /// Mean factor over the day.
  [[nodiscard]] double mean() const { return identity_ ? 1.0 : cumulative_[24] / 86400.0; }

 private:
  [[nodiscard]] double warp(double s) const;

  bool identity_ = true;
  std::array<double, 24> factors_{};
  std::array<double, 25> cumulative_{};  ///< operational seconds by the start of each hour
};

}  // namespace moeplan
