#include "study/crossings.hpp"

#include <algorithm>
#include <cmath>

namespace moeplan {

std::vector<LineCrossing> line_crossings(const std::vector<double>& x, const std::vector<std::optional<double>>& first,
                                         const std::vector<std::optional<double>>& second, bool log_x, double noise) {
  std::vector<LineCrossing> found;
  double last_x = 0;
  double last = 0;  // of the last point where the lines differ
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!first[i] || !second[i]) continue;
    const double ratio = std::log(*first[i] / *second[i]);
    if (std::abs(ratio) <= noise) continue;
    const double here = log_x ? std::log(x[i]) : x[i];
    if (last != 0 && (last > 0) != (ratio > 0)) {
      const double at = last_x + (here - last_x) * last / (last - ratio);
      found.push_back({log_x ? std::exp(at) : at, ratio > 0});
    }
    last_x = here;
    last = ratio;
  }
  return found;
}

double Staircase::deployments(double load) const { return std::max(1.0, std::ceil(load / capacity * (1 - 1e-12))); }

std::optional<LineCrossing> staircase_crossing(const Staircase& first, const Staircase& second) {
  const double per_request_first = first.usd_per_hour / first.capacity;
  const double per_request_second = second.usd_per_hour / second.capacity;
  if (std::abs(per_request_first - per_request_second) < 1e-9 * per_request_first) return std::nullopt;
  const bool second_wins = per_request_second < per_request_first;
  const Staircase& winner = second_wins ? second : first;
  const Staircase& loser = second_wins ? first : second;
  // winner(load) < load x its price per request + one deployment; loser(load) >= load x its price per request: beyond this load all is
  // said.
  const double settled = winner.usd_per_hour / std::abs(per_request_first - per_request_second);
  // The winner is dearer just above one of its steps, until the loser steps up: the last such stretch ends at a step of the loser.
  constexpr double kMostSteps = 1e6;
  const double last_step = std::min(std::ceil(settled / winner.capacity), kMostSteps);
  for (double step = last_step; step >= 0; --step) {
    const double cost = winner.usd_per_hour * (step + 1);  // just above load = step x capacity
    const double start = step * winner.capacity;
    // Deployments of the loser that cost as much or more: reached just above that many steps.
    const double needed = std::ceil(cost / loser.usd_per_hour * (1 - 1e-12));
    const double until = (needed - 1) * loser.capacity;
    if (until > start * (1 + 1e-12) + 1e-300) return LineCrossing{std::min(until, (step + 1) * winner.capacity), second_wins};
  }
  return std::nullopt;
}

}  // namespace moeplan
