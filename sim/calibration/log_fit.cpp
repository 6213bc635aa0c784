#include "calibration/log_fit.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace moeplan {
namespace {

constexpr double kStep = 1e-4;         // forward difference in the logarithm of a constant
constexpr double kPriorWeight = 2e-3;  // one e-fold off the prior weighs as much as a few rows that are 8 % off
constexpr double kLargestMove = 0.7;   // per iteration, in the logarithm
constexpr int kIterations = 60;

/// Solves a x = b for symmetric positive a (row-major, n x n) in place by Cholesky; false when a is not positive.
bool solve_positive(std::vector<double>& a, std::vector<double>& b, std::size_t n) {
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = j; i < n; ++i) {
      double sum = a[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      if (i == j && !(sum > 0)) return false;
      a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return true;
}

class Fit {
 public:
  explicit Fit(const LogFitProblem& problem) : problem_(problem), rows_(problem.log_measured.size()), size_(problem.low.size()) {
    for (std::size_t j = 0; j < size_; ++j) {
      low_.push_back(std::log(problem.low[j]));
      high_.push_back(std::log(problem.high[j]));
      prior_.push_back(std::clamp(std::log(problem.prior[j]), low_[j], high_[j]));
    }
    predicted_.resize(rows_);
    shifted_.resize(rows_);
    jacobian_.resize(rows_ * size_);
  }

  LogFitResult run(std::vector<double> start) {
    std::vector<double> at(size_);
    for (std::size_t j = 0; j < size_; ++j) at[j] = std::clamp(std::log(start[j]), low_[j], high_[j]);
    double loss = loss_at(at);
    double damping = 1e-2;
    int small_gains = 0;
    for (int iteration = 0; iteration < kIterations && small_gains < 2; ++iteration) {
      linearise(at);
      bool improved = false;
      for (int attempt = 0; attempt < 6 && !improved; ++attempt) {
        const std::vector<double> trial = step(at, damping);
        const double trial_loss = loss_at(trial);
        if (trial_loss < loss) {
          small_gains = loss - trial_loss < 1e-6 * loss ? small_gains + 1 : 0;
          at = trial;
          loss = trial_loss;
          damping = std::max(damping * 0.25, 1e-9);
          improved = true;
        } else {
          damping *= 5;
        }
      }
      if (!improved) break;
    }
    LogFitResult result{{}, loss};
    for (const double u : at) result.constants.push_back(std::exp(u));
    return result;
  }

 private:
  void predict(const std::vector<double>& at, std::vector<double>& out) {
    constants_.clear();
    for (const double u : at) constants_.push_back(std::exp(u));
    problem_.predict(constants_, out);
  }

  double loss_at(const std::vector<double>& at) {
    predict(at, predicted_);
    double sum = 0;
    for (std::size_t i = 0; i < rows_; ++i) {
      const double r = (predicted_[i] - problem_.log_measured[i]) / kSoftScale;
      sum += 2 * (std::sqrt(1 + r * r) - 1);
    }
    double off_prior = 0;
    for (std::size_t j = 0; j < size_; ++j) off_prior += (at[j] - prior_[j]) * (at[j] - prior_[j]);
    return (sum + prior_rows() * off_prior) / static_cast<double>(rows_);
  }

  // The prior must not fade in a small table nor matter in a large one.
  [[nodiscard]] double prior_rows() const { return kPriorWeight * std::max(static_cast<double>(rows_), 200.0); }

  /// Normal equations of the weighted residuals around `at`; predicted_ holds the prediction there.
  void linearise(const std::vector<double>& at) {
    predict(at, predicted_);
    for (std::size_t j = 0; j < size_; ++j) {
      std::vector<double> moved = at;
      const double h = moved[j] + kStep <= high_[j] ? kStep : -kStep;
      moved[j] += h;
      predict(moved, shifted_);
      for (std::size_t i = 0; i < rows_; ++i) jacobian_[i * size_ + j] = (shifted_[i] - predicted_[i]) / h;
    }
    normal_.assign(size_ * size_, 0);
    gradient_.assign(size_, 0);
    for (std::size_t i = 0; i < rows_; ++i) {
      const double r = predicted_[i] - problem_.log_measured[i];
      const double w = 1 / (kSoftScale * kSoftScale * std::sqrt(1 + r * r / (kSoftScale * kSoftScale)));
      const double* row = &jacobian_[i * size_];
      for (std::size_t j = 0; j < size_; ++j) {
        gradient_[j] += w * r * row[j];
        for (std::size_t k = 0; k <= j; ++k) normal_[j * size_ + k] += w * row[j] * row[k];
      }
    }
    for (std::size_t j = 0; j < size_; ++j) {
      gradient_[j] += prior_rows() * (at[j] - prior_[j]);
      normal_[j * size_ + j] += prior_rows();
    }
  }

  /// One damped step inside the bounds; constants at a bound that they push against stay.
  [[nodiscard]] std::vector<double> step(const std::vector<double>& at, double damping) const {
    std::vector<std::size_t> free;
    for (std::size_t j = 0; j < size_; ++j) {
      const bool stuck = (at[j] <= low_[j] && gradient_[j] > 0) || (at[j] >= high_[j] && gradient_[j] < 0);
      if (!stuck) free.push_back(j);
    }
    const std::size_t n = free.size();
    std::vector<double> a(n * n), b(n);
    for (std::size_t i = 0; i < n; ++i) {
      b[i] = -gradient_[free[i]];
      for (std::size_t k = 0; k <= i; ++k) a[i * n + k] = normal_[free[i] * size_ + free[k]];
      a[i * n + i] *= 1 + damping;
    }
    std::vector<double> moved = at;
    if (n == 0 || !solve_positive(a, b, n)) return moved;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t j = free[i];
      moved[j] = std::clamp(at[j] + std::clamp(b[i], -kLargestMove, kLargestMove), low_[j], high_[j]);
    }
    return moved;
  }

  const LogFitProblem& problem_;
  std::size_t rows_, size_;
  std::vector<double> low_, high_, prior_, predicted_, shifted_, jacobian_, normal_, gradient_, constants_;
};

}  // namespace

LogFitResult fit_logs(const LogFitProblem& problem, std::vector<double> start) {
  MOEPLAN_CHECK(!problem.log_measured.empty());
  MOEPLAN_CHECK(start.size() == problem.low.size());
  return Fit(problem).run(std::move(start));
}

}  // namespace moeplan
