// How likely a yes is among many possible cases of which few can be tried: the cases are ranked by a score that foretells the answer, cut into strata of
// equal size, and those are tried where the answer is least certain (stratified sampling with Neyman's allocation, 1934). Between strata a logistic
// curve of the rank tells what is to be expected where little or nothing was tried. A score that foretells nothing costs no truth, only certainty: the error
// is then that of as many plain draws.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace moeplan {

class VerdictRanks {
 public:
  /// `scores` by case: a higher one makes a yes less likely. REQUIRES: at least one.
  explicit VerdictRanks(const std::vector<double>& scores);

  void add(std::size_t which, bool yes);
  [[nodiscard]] std::size_t tried() const { return tried_count_; }

  /// Up to `count` cases to try next. Before anything was tried: spread evenly over the ranks.
  [[nodiscard]] std::vector<std::size_t> next(std::size_t count) const;

  struct Estimate {
    double probability = 0;
    double error = 0;  ///< one standard deviation
  };
  /// Of a yes, over all cases. REQUIRES: tried() > 0.
  [[nodiscard]] Estimate estimate() const;

 private:
  /// Logistic in the normal score of the rank: probability 1 / (1 + exp(-(level + slope x))), with the inverse curvature of its fit.
  struct Curve {
    double level = 0, slope = 0;
    double var_level = 0, var_slope = 0, covariance = 0;
  };
  struct Stratum {
    std::vector<std::size_t> cases;  ///< in the order in which they are tried
    std::size_t tried = 0, yes = 0;
  };
  struct Expected {
    double yes = 0, by_level = 0, by_slope = 0;  ///< mean over the stratum, and its derivatives
  };
  [[nodiscard]] Curve fit() const;
  [[nodiscard]] std::vector<Expected> expected(const Curve& curve) const;

  std::vector<double> place_;            ///< by case: normal score of its rank
  std::vector<std::size_t> stratum_of_;  ///< by case
  std::vector<Stratum> strata_;
  std::vector<std::optional<bool>> answer_;
  std::size_t tried_count_ = 0;
};

}  // namespace moeplan
