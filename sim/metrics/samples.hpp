// Weighted samples of one quantity: exact while few, log-binned when many, so that memory is bounded and small runs are not blurred.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/log_histogram.hpp"
#include "metrics/latency_statistic.hpp"

namespace moeplan {

class Samples {
 public:
  /// Up to this many calls of add() the quantiles are exact; beyond, they are within 0.1 % (LogHistogram from 1 us to 1e7 s; smaller
  /// values count as 1 us). Mean and maximum are exact always.
  static constexpr std::size_t kExact = 100'000;

  /// Adds `weight` samples of `value` (>= 0).
  void add(double value, std::uint64_t weight = 1) {
    count_ += weight;
    sum_ += value * static_cast<double>(weight);
    if (value > max_) max_ = value;
    if (binned_) {
      binned_->add(value, weight);
    } else {
      exact_.push_back({value, weight});
      sorted_ = false;
      if (exact_.size() > kExact) bin_all();
    }
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] double mean() const { return count_ == 0 ? 0.0 : sum_ / static_cast<double>(count_); }
  [[nodiscard]] double max() const { return max_; }
  /// Nearest-rank quantile, 0 < q <= 1: the smallest sample that at least a share q of all samples do not exceed. 0 without samples.
  [[nodiscard]] double quantile(double q) const;

 private:
  struct Weighted {
    double value;
    std::uint64_t weight;
  };
  void bin_all();

  std::uint64_t count_ = 0;
  double sum_ = 0;
  double max_ = 0;
  std::optional<LogHistogram> binned_;
  mutable std::vector<Weighted> exact_;  ///< sorted on demand
  mutable bool sorted_ = false;
};

/// Seconds that `statistic` says of samples of its metric; 0 without samples.
double value_of(const Samples& samples, const LatencyStatistic& statistic);

}  // namespace moeplan
