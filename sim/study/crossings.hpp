// Where two lines cross: sampled curves, and the staircases that money makes when load needs whole deployments.
#pragma once

#include <optional>
#include <vector>

namespace moeplan {

/// A crossing at `at`; `second_lower_above`: beyond it the second line is the lower one.
struct LineCrossing {
  double at = 0;
  bool second_lower_above = false;
};

/// Crossings of two lines sampled at the same rising `x` > 0, values > 0; a point that either lacks is skipped. Between two points the
/// logarithm of the ratio is linear in log x (`log_x`) or in x. Lines that only touch do not cross, nor do those that differ by no more than `noise`, a share,
/// on one side of where they meet.
std::vector<LineCrossing> line_crossings(const std::vector<double>& x, const std::vector<std::optional<double>>& first,
                                         const std::vector<std::optional<double>>& second, bool log_x, double noise = 0);

/// A deployment that costs `usd_per_hour` and carries `capacity` requests per second; load beyond it needs one more.
struct Staircase {
  double usd_per_hour = 0;
  double capacity = 0;

  /// Deployments that carry `load`; 1 at least. REQUIRES: capacity > 0.
  [[nodiscard]] double deployments(double load) const;
  [[nodiscard]] double usd_per_hour_at(double load) const { return usd_per_hour * deployments(load); }
};

/// The load above which the one that is cheaper per request at large volume never costs more than the other, when there is a load below it
/// at which it does. `second_lower_above`: that one is the second. Nothing when the cheaper one is so at every load, or both cost the same
/// per request at large volume.
std::optional<LineCrossing> staircase_crossing(const Staircase& first, const Staircase& second);

}  // namespace moeplan
