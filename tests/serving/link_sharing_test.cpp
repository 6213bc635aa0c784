// Replicas whose collectives cross the same link slow each other down while both work, and only then.
#include <doctest/doctest.h>

#include "network/flow_network.hpp"
#include "network/network_fixture.hpp"
#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

/// Every step: 6 ms of computation and 4 ms during which 80 MB cross a 20 GB/s card.
struct SendingCost final : StepCost {
  void prepare(std::int32_t decode_sequences, std::span<const PrefillChunk> prefill, PreparedStep& out) const override {
    out = PreparedStep{};
    out.decode_sequences = decode_sequences;
    for (const PrefillChunk& chunk : prefill) out.prefill_tokens += chunk.tokens;
    out.pure_decode = prefill.empty();
    out.fixed_traffic = {0, 80e6, 4e-3};
  }
  StepOutcome evaluate(const PreparedStep& prepared, std::int64_t, RandomStream&) const override {
    StepOutcome out;
    out.contention_seconds = (prepared.network_slowdown - 1.0) * prepared.fixed_traffic.scale_out_seconds;
    out.seconds = 10e-3 + out.contention_seconds;
    return out;
  }
};

/// One load for each of two replicas, both over the first GPU's card (`shared`) or over a card each.
void add_loads(FlowNetwork& network, bool shared) {
  const auto a = network.paths().between(0, 2);
  const auto b = network.paths().between(shared ? 0 : 1, shared ? 2 : 3);
  network.add_load({a.begin(), a.end()});
  network.add_load({b.begin(), b.end()});
}

std::vector<ListedRequest> requests(std::initializer_list<std::int64_t> arrivals, int output) {
  std::vector<ListedRequest> out;
  for (const std::int64_t ms : arrivals) out.push_back({SimTime(ms * 1'000'000), 4, output});
  return out;
}

/// Ends of all requests by id, in ms.
std::vector<double> ends(FlowNetwork* network, std::initializer_list<std::int64_t> arrivals, int output) {
  ClusterConfig config = small_cluster();
  config.replicas = 2;
  config.network = network;
  ListSource source(requests(arrivals, output));
  const RecordingObserver seen = run(config, SendingCost{}, source);
  std::vector<double> out(arrivals.size());
  for (const FinishedRequest& f : seen.finished) out[f.spec.id] = to_seconds(f.last_token).value() * 1e3;
  return out;
}

}  // namespace

TEST_CASE("replicas with links of their own run as if there were no network") {
  const Topology topology(test::switched_nodes(2, 2));
  FlowNetwork network(topology);
  add_loads(network, false);
  CHECK(ends(&network, {0, 3, 50, 61}, 20) == ends(nullptr, {0, 3, 50, 61}, 20));
  CHECK(network.solves() == 0);
}

TEST_CASE("one replica at work is not slowed by another that idles on the same link") {
  const Topology topology(test::switched_nodes(2, 2));
  FlowNetwork network(topology);
  add_loads(network, true);
  // One request in all: 20 steps of 10 ms.
  CHECK(ends(&network, {0}, 20).front() == doctest::Approx(200));
}

TEST_CASE("two replicas at work share the link: each bursts into what the other takes on average") {
  const Topology topology(test::switched_nodes(2, 2));
  FlowNetwork network(topology);
  add_loads(network, true);
  const std::vector<double> both = ends(&network, {0, 0}, 100);
  // 80 MB in 4 of 10 ms: bursts at 20 GB/s, 8 GB/s on average. Beside it 12 of 20 GB/s are left: 4 ms become 6.67, a step 12.67 ms.
  // That lowers the mean by a fifth, a new solve: 80 MB / 12.67 ms = 6.3 GB/s, 5.84 ms, a step 11.8 ms; within a tenth of 6.8 GB/s it stays.
  CHECK(both[0] > 1170);
  CHECK(both[0] < 1270);
  CHECK(both[1] == doctest::Approx(both[0]).epsilon(0.02));
  CHECK(network.solves() < 60);  // not one per step: 200 of them
}

TEST_CASE("when one of two ends, the other runs on at full speed") {
  const Topology topology(test::switched_nodes(2, 2));
  FlowNetwork network(topology);
  add_loads(network, true);
  ClusterConfig config = small_cluster();
  config.replicas = 2;
  config.network = &network;
  auto two = requests({0, 0}, 10);
  two[1].output = 60;
  ListSource source(two);
  const RecordingObserver seen = run(config, SendingCost{}, source);
  // Ten steps of about 12 ms together, then fifty of 10 ms alone.
  double last = 0;
  for (const FinishedRequest& f : seen.finished) last = std::max(last, to_seconds(f.last_token).value());
  CHECK(last > 0.600);
  CHECK(last < 0.640);
}
