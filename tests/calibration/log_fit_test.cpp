#include "calibration/log_fit.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace moeplan;

namespace {

/// t = a + b x at x = 1, 2, 4, ..., 512.
LogFitProblem line(double a, double b) {
  LogFitProblem problem;
  problem.low = {0.1, 0.1};
  problem.high = {100, 100};
  problem.prior = {a, b};
  for (int i = 0; i < 10; ++i) problem.log_measured.push_back(std::log(a + b * std::exp2(i)));
  problem.predict = [](std::span<const double> c, std::span<double> out) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::log(c[0] + c[1] * std::exp2(static_cast<double>(i)));
  };
  return problem;
}

}  // namespace

TEST_CASE("a fit finds the constants that made the rows, from a start far away") {
  const LogFitResult fit = fit_logs(line(5, 2), {50, 0.2});
  CHECK(fit.constants[0] == doctest::Approx(5).epsilon(1e-3));
  CHECK(fit.constants[1] == doctest::Approx(2).epsilon(1e-3));
  CHECK(fit.loss < 1e-6);
}

TEST_CASE("one wild row moves a fit little") {
  LogFitProblem problem = line(5, 2);
  problem.log_measured[4] += 3;  // twenty times too slow
  const LogFitResult fit = fit_logs(problem, {10, 1});
  CHECK(fit.constants[0] == doctest::Approx(5).epsilon(0.1));
  CHECK(fit.constants[1] == doctest::Approx(2).epsilon(0.1));
}

TEST_CASE("a fit stays within its bounds and keeps undetermined constants at their prior") {
  LogFitProblem problem = line(5, 2);
  problem.high[1] = 1.5;
  CHECK(fit_logs(problem, {5, 1}).constants[1] == doctest::Approx(1.5));

  LogFitProblem unused = line(5, 2);
  unused.low.push_back(0.1);
  unused.high.push_back(100);
  unused.prior.push_back(7);
  CHECK(fit_logs(unused, {10, 1, 7}).constants[2] == doctest::Approx(7));
}

TEST_CASE("the same rows give the same bits") {
  const LogFitResult first = fit_logs(line(3, 7), {1, 1});
  const LogFitResult second = fit_logs(line(3, 7), {1, 1});
  CHECK(first.constants == second.constants);
  CHECK(first.loss == second.loss);
}
