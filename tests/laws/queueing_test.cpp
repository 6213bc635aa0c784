// Replicas of batch one with one output token are single-server queues, whose mean waiting times are known.
#include <doctest/doctest.h>

#include <cmath>

#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

struct Mean {
  double value = 0;
  double standard_error = 0;  ///< by batch means
};

// Waiting of the requests in order of completion; 100 consecutive batches are nearly independent.
class WaitingObserver final : public Observer {
 public:
  explicit WaitingObserver(std::uint64_t total) : per_batch_(total / 100) {}
  void on_finished(const FinishedRequest& r) override {
    sum_ += to_seconds(r.scheduled - r.spec.arrival).value();
    if (++count_ % per_batch_ != 0) return;
    batches_.push_back(sum_ / static_cast<double>(per_batch_));
    sum_ = 0;
  }
  [[nodiscard]] Mean mean() const {
    const auto n = static_cast<double>(batches_.size());
    double mean = 0;
    for (const double b : batches_) mean += b / n;
    double variance = 0;
    for (const double b : batches_) variance += (b - mean) * (b - mean) / (n - 1);
    return {mean, std::sqrt(variance / n)};
  }

 private:
  std::uint64_t per_batch_;
  std::uint64_t count_ = 0;
  double sum_ = 0;
  std::vector<double> batches_;
};

Mean mean_waiting(const StepCost& cost, double rate) {
  constexpr std::uint64_t kRequests = 200'000;
  ClusterConfig config = small_cluster();
  config.replica.scheduler.max_batch_requests = 1;
  PoissonSource source(rate, kRequests, {1, 1}, {1, 1}, 1);
  WaitingObserver observer(kRequests);
  simulate(config, cost, source, observer, 1);
  return observer.mean();
}

void check(Mean mean, double theory) {
  CAPTURE(mean.value);
  CAPTURE(mean.standard_error);
  CHECK(mean.standard_error < 0.03 * theory);  // else the next line would accept anything
  CHECK(std::abs(mean.value - theory) < 3.0 * mean.standard_error);
}

}  // namespace

TEST_CASE("one server with fixed service waits as M/D/1 says") {
  // Wq = rho s / (2 (1 - rho)): 0.5 x 1 / (2 x 0.5) = 0.5 s and 0.8 x 1 / (2 x 0.2) = 2 s (Pollaczek-Khinchine).
  const AffineStepCost one_second(1, 0, 0, 0);
  check(mean_waiting(one_second, 0.5), 0.5);
  check(mean_waiting(one_second, 0.8), 2.0);
}

TEST_CASE("one server with exponential service waits as M/M/1 says") {
  // Wq = rho s / (1 - rho): 1 s and 4 s.
  const ExponentialStepCost one_second(1);
  check(mean_waiting(one_second, 0.5), 1.0);
  check(mean_waiting(one_second, 0.8), 4.0);
}
