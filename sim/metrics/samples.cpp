#include "metrics/samples.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace moeplan {

void Samples::bin_all() {
  binned_.emplace();
  for (const Weighted& w : exact_) binned_->add(w.value, w.weight);
  exact_ = {};
}

double Samples::quantile(double q) const {
  MOEPLAN_CHECK(q > 0 && q <= 1);
  if (count_ == 0) return 0.0;
  if (binned_) return binned_->quantile(q);
  if (!sorted_) {
    std::sort(exact_.begin(), exact_.end(), [](const Weighted& a, const Weighted& b) { return a.value < b.value; });
    sorted_ = true;
  }
  // 0.99 x 100 is 99.000...01 in doubles: without the margin the rank would be one too high.
  const double exact_rank = q * static_cast<double>(count_);
  const auto rank = static_cast<std::uint64_t>(std::max(1.0, std::ceil(exact_rank * (1.0 - 1e-12))));
  std::uint64_t seen = 0;
  for (const Weighted& w : exact_) {
    seen += w.weight;
    if (seen >= rank) return w.value;
  }
  return max_;
}

double value_of(const Samples& samples, const LatencyStatistic& statistic) {
  switch (statistic.kind) {
    case LatencyStatistic::Kind::kMean: return samples.mean();
    case LatencyStatistic::Kind::kMax: return samples.max();
    case LatencyStatistic::Kind::kQuantile: return samples.quantile(statistic.quantile);
  }
  MOEPLAN_CHECK(false);
  return 0;
}

}  // namespace moeplan
