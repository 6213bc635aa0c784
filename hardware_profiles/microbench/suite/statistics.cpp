#include "suite/statistics.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace moeplan::bench {
namespace {

constexpr std::size_t kFewest = 3;

double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

/// Binomial order statistics: ranks n/2 -+ 0.98 sqrt(n) enclose the median with 95 %.
double half_width(const std::vector<double>& sorted, double median) {
  const double n = static_cast<double>(sorted.size());
  const double reach = 0.98 * std::sqrt(n);
  const auto low = static_cast<std::size_t>(std::max(0.0, std::floor(n / 2 - reach)));
  const auto high = static_cast<std::size_t>(std::min(n - 1, std::ceil(n / 2 + reach)));
  return median > 0 ? 0.5 * (sorted[high] - sorted[low]) / median : 0;
}

int count_outliers(const std::vector<double>& sorted, double median) {
  std::vector<double> deviations;
  for (const double x : sorted) deviations.push_back(std::abs(x - median));
  std::sort(deviations.begin(), deviations.end());
  const double limit = 5 * 1.4826 * quantile(deviations, 0.5);
  return static_cast<int>(std::count_if(deviations.begin(), deviations.end(), [limit](double d) { return d > limit && d > 0; }));
}

}  // namespace

Summary summarise(const std::vector<Sample>& samples) {
  MOEPLAN_CHECK(!samples.empty());
  std::vector<double> clean, all;
  for (const Sample& sample : samples) {
    all.push_back(sample.seconds);
    if (!sample.disturbed) clean.push_back(sample.seconds);
  }
  Summary s;
  s.disturbed = static_cast<int>(all.size() - clean.size());
  s.rests_on_disturbed = s.disturbed > 0 && clean.size() < kFewest;
  std::vector<double>& used = s.rests_on_disturbed ? all : clean;
  std::sort(used.begin(), used.end());
  s.runs = static_cast<int>(used.size());
  s.median = quantile(used, 0.5);
  s.fastest = used.front();
  s.ci95 = half_width(used, s.median);
  s.spread = s.median > 0 ? (quantile(used, 0.75) - quantile(used, 0.25)) / s.median : 0;
  s.outliers = count_outliers(used, s.median);
  return s;
}

std::string mark_of(const Summary& s, double target) {
  if (s.rests_on_disturbed) return "disturbed";
  return s.ci95 > target ? "unstable" : "";
}

}  // namespace moeplan::bench
