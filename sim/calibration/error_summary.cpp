#include "calibration/error_summary.hpp"

#include <algorithm>
#include <cmath>

namespace moeplan {
namespace {

double rank(const std::vector<double>& sorted, double q) {
  return thousandths(sorted[static_cast<std::size_t>(std::ceil(q * static_cast<double>(sorted.size()))) - 1]);
}

}  // namespace

double five_digits(double x) {
  if (!(x > 0)) return x;
  const double scale = std::pow(10.0, 4 - std::floor(std::log10(x)));
  return std::round(x * scale) / scale;
}

double thousandths(double x) { return std::round(x * 1000) / 1000; }

ErrorSummary summarise(std::vector<double> signed_errors) {
  ErrorSummary s;
  s.rows = static_cast<int>(signed_errors.size());
  if (signed_errors.empty()) return s;
  std::sort(signed_errors.begin(), signed_errors.end());
  s.bias = rank(signed_errors, 0.5);
  for (double& e : signed_errors) e = std::abs(e);
  std::sort(signed_errors.begin(), signed_errors.end());
  s.median = rank(signed_errors, 0.5);
  s.p90 = rank(signed_errors, 0.9);
  return s;
}

}  // namespace moeplan
