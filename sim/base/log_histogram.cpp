#include "base/log_histogram.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

LogHistogram::LogHistogram(double relative_error, double smallest, double largest)
    : relative_error_(relative_error), smallest_(smallest) {
  MOEPLAN_CHECK(relative_error >= 1e-6 && smallest > 0 && largest > smallest);
  // A bin [x, x + d) with d / x at most 2^-bits, reported at its middle, is off by at most 2^-bits / 2.
  unsigned bits = 0;
  while (std::ldexp(0.5, -static_cast<int>(bits)) > relative_error) ++bits;
  shift_ = 52 - bits;
  first_ = std::bit_cast<std::uint64_t>(1.0) >> shift_;
  inverse_smallest_ = 1.0 / smallest;
  counts_.assign((std::bit_cast<std::uint64_t>(largest * inverse_smallest_) >> shift_) - first_ + 2, 0);
}

void LogHistogram::merge(const LogHistogram& other) {
  MOEPLAN_CHECK(other.counts_.size() == counts_.size() && other.smallest_ == smallest_);
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
  min_ = std::min(min_, other.min_);
}

double LogHistogram::quantile(double q) const {
  MOEPLAN_CHECK(q > 0 && q <= 1);
  if (count_ == 0) return 0.0;
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen < rank) continue;
    if (i == 0) return std::clamp(smallest_, min_, max_);
    const double low = std::bit_cast<double>((first_ + i - 1) << shift_);
    const double middle = smallest_ * 0.5 * (low + std::bit_cast<double>((first_ + i) << shift_));
    return std::clamp(middle, min_, max_);
  }
  return max_;
}

}  // namespace moeplan
