// More of a good thing never hurts, for the same requests and steps without chance.
#include <doctest/doctest.h>

#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

struct Means {
  double ttft = 0;
  double latency = 0;
};

Means means(const ClusterConfig& config, const StepCost& cost) {
  PoissonSource source(0.35, 1000, {1, 30}, {1, 40}, 3);
  const RecordingObserver seen = run(config, cost, source);
  REQUIRE(seen.finished.size() == 1000);
  Means out;
  for (const FinishedRequest& r : seen.finished) {
    out.ttft += to_seconds(r.first_token - r.spec.arrival).value() / 1000;
    out.latency += to_seconds(r.last_token - r.spec.arrival).value() / 1000;
  }
  return out;
}

}  // namespace

TEST_CASE("faster steps make no mean latency worse") {
  Means slower{1e9, 1e9};
  for (const double speed : {1.0, 1.1, 1.3, 2.0, 4.0, 10.0}) {
    const Means now = means(small_cluster(40), AffineStepCost(0.1 / speed, 0.01 / speed, 0.0003 / speed, 0.05 / speed));
    CHECK(now.ttft < slower.ttft);
    CHECK(now.latency < slower.latency);
    slower = now;
  }
}

TEST_CASE("more KV blocks make no mean latency worse") {
  const AffineStepCost cost(0.1, 0.01, 0.0003, 0.05);
  Means scarcer{1e9, 1e9};
  for (const std::int64_t blocks : {18, 24, 32, 48, 96, 1000}) {
    const Means now = means(small_cluster(blocks), cost);
    CHECK(now.ttft <= scarcer.ttft);
    CHECK(now.latency <= scarcer.latency);
    scarcer = now;
  }
}

TEST_CASE("more replicas make no mean latency worse") {
  const AffineStepCost cost(0.1, 0.01, 0.0003, 0.05);
  Means fewer{1e9, 1e9};
  for (const int replicas : {1, 2, 4, 8}) {
    ClusterConfig config = small_cluster(40);
    config.replicas = replicas;
    const Means now = means(config, cost);
    CHECK(now.ttft <= fewer.ttft);
    CHECK(now.latency <= fewer.latency);
    fewer = now;
  }
}
