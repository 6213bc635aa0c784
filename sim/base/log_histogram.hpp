// A histogram with logarithmic bins: quantiles of any number of positive samples in fixed memory, each within a stated relative
// error. Mean and maximum are exact. Values at or below `smallest` share the lowest bin.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace moeplan {

class LogHistogram {
 public:
  /// Quantiles of samples in [smallest, largest] are within `relative_error` (0.001 = 0.1 %).
  explicit LogHistogram(double relative_error = 0.001, double smallest = 1e-6, double largest = 1e7);

  /// Adds `weight` samples of `value`. Allocates nothing.
  void add(double value, std::uint64_t weight = 1) {
    counts_[bin(value)] += weight;
    count_ += weight;
    sum_ += value * static_cast<double>(weight);
    if (value > max_) max_ = value;
    if (value < min_) min_ = value;
  }
  /// Adds all samples of a histogram with the same bins.
  void merge(const LogHistogram& other);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] double mean() const { return count_ == 0 ? 0.0 : sum_ / static_cast<double>(count_); }
  [[nodiscard]] double max() const { return count_ == 0 ? 0.0 : max_; }
  [[nodiscard]] double min() const { return count_ == 0 ? 0.0 : min_; }
  [[nodiscard]] double sum() const { return sum_; }
  /// Nearest-rank quantile, 0 < q <= 1; 0 without samples.
  [[nodiscard]] double quantile(double q) const;
  [[nodiscard]] double relative_error() const { return relative_error_; }

 private:
  /// Bins are steps of the leading mantissa bits of value / smallest: no logarithm on the hot path.
  [[nodiscard]] std::size_t bin(double value) const {
    if (!(value > smallest_)) return 0;
    const std::uint64_t position = (std::bit_cast<std::uint64_t>(value * inverse_smallest_) >> shift_) - first_ + 1;
    const std::uint64_t last = counts_.size() - 1;
    return static_cast<std::size_t>(position < last ? position : last);
  }
  double relative_error_;
  double smallest_;
  double inverse_smallest_;
  unsigned shift_ = 0;        ///< mantissa bits that a bin ignores
  std::uint64_t first_ = 0;   ///< leading bits of 1.0
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  double sum_ = 0;
  double max_ = -INFINITY;
  double min_ = INFINITY;
};

}  // namespace moeplan
