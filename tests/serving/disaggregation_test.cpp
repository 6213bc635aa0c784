// Prefill and decode pools against timelines worked by hand, and what must be conserved over them. A step takes 10 s + 1 s per decoding
// sequence + 1 s per prompt token; KV is 1 byte per token, sent at 1 byte/s unless told otherwise.
#include "serving/disaggregation.hpp"

#include <doctest/doctest.h>

#include "support/serving_fixture.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

const AffineStepCost kCost(10, 1, 0, 1);

struct TransferObserver final : Observer {
  void on_kv_transfer(const KvTransferRecord& r) override { transfers.push_back(r); }
  std::vector<KvTransferRecord> transfers;
};

DisaggregatedConfig pools(int prefills, int decodes, std::int64_t decode_blocks = 1000) {
  DisaggregatedConfig config;
  config.prefill.replicas = prefills;
  config.prefill.replica = small_cluster().replica;
  config.decode.replicas = decodes;
  config.decode.replica = small_cluster(decode_blocks).replica;
  config.transfer.bytes_per_token = 1;
  config.transfer.limit = 1;
  config.transfer.layerwise = false;
  config.transfer.layers = 4;
  return config;
}

RecordingObserver run_pools(const DisaggregatedConfig& config, RequestSource& source, const StepCost& cost = kCost) {
  RecordingObserver seen;
  simulate(config, cost, cost, source, seen, 1);
  return seen;
}

void check(const RecordingObserver& seen, std::uint64_t id, std::int64_t scheduled, std::int64_t first, std::int64_t last) {
  CAPTURE(id);
  const FinishedRequest r = seen.by_id().at(id);
  CHECK(r.scheduled == seconds(scheduled));
  CHECK(r.first_token == seconds(first));
  CHECK(r.last_token == seconds(last));
}

}  // namespace

TEST_CASE("a prompt is computed in one pool, sent, and decoded in the other") {
  // 0-14 A's prompt (4 tokens); 14-19 its KV of 4 bytes (a byte more is rounded up) is sent: token 1; 19-30 and 30-41 tokens 2 and 3.
  ListSource source({{seconds(0), 4, 3}});
  const RecordingObserver seen = run_pools(pools(1, 1), source);
  check(seen, 0, 0, 19, 41);
  CHECK(seen.finished[0].replica == 1);
  REQUIRE(seen.steps.size() == 3);
  CHECK(seen.steps[0].replica == 0);
  CHECK(seen.steps[1].replica == 1);
  CHECK(seen.gap_tokens() == 2);
}

TEST_CASE("layer by layer only what the prefill could not hide is sent after it") {
  // 14 s of prefill hide up to 14 bytes, the last of 4 layers excepted: 3 of 4 bytes; 1 (and the rounded one) are left: 14-16.
  ListSource source({{seconds(0), 4, 2}});
  DisaggregatedConfig config = pools(1, 1);
  config.transfer.layerwise = true;
  check(run_pools(config, source), 0, 0, 16, 27);
  // At 0.1 byte/s the prefill hides 1.4 bytes of 4: 2 whole bytes and the rounded one take 30 s.
  config.transfer.limit = 0.1;
  ListSource again({{seconds(0), 4, 2}});
  check(run_pools(config, again), 0, 0, 44, 55);
}

TEST_CASE("prompts below the bound stay in the decode pool") {
  // B (2 + 2) is computed where it decodes: 0-12, 12-23. A (4 + 1) has no second token: it ends in the prefill pool.
  ListSource source({{seconds(0), 4, 1}, {seconds(0), 2, 2}});
  DisaggregatedConfig config = pools(1, 1);
  config.transfer.stay_below = 4;
  const RecordingObserver seen = run_pools(config, source);
  check(seen, 0, 0, 14, 14);
  check(seen, 1, 0, 12, 23);
  CHECK(seen.by_id().at(0).replica == 0);
  CHECK(seen.by_id().at(1).replica == 1);
}

TEST_CASE("when the decode pool is full, KV waits with the prefill and holds up its queue") {
  // Decode holds 2 blocks of 4 tokens, prefill 2 as well. A and B (4 + 4 tokens: 7 held, 2 blocks in the end) and C.
  // 0-18 A's and B's prompts. 18-23 A's KV is sent and takes one block, B's the other.
  DisaggregatedConfig config = pools(1, 1, 2);
  config.prefill.replica.kv_capacity = Bytes(2);
  config.decode.replica.scheduler.admission_output_reserve = 1.0;
  ListSource source({{seconds(0), 4, 4}, {seconds(0), 4, 4}, {seconds(1), 4, 1}});
  TransferObserver transfers;
  simulate(config, kCost, kCost, source, transfers, 1);
  // Only A finds room (2 blocks with its output): sent 18-23, decodes 23-56. B is sent 56-61. C's prompt waits for the block that A gives
  // back at 23: 23-37.
  REQUIRE(transfers.transfers.size() == 2);
  CHECK(transfers.transfers[0].start == seconds(18));
  CHECK(transfers.transfers[0].end == seconds(23));
  CHECK(transfers.transfers[1].ready == seconds(18));
  CHECK(transfers.transfers[1].start == seconds(56));
  CHECK(transfers.transfers[1].end == seconds(61));
  ListSource again({{seconds(0), 4, 4}, {seconds(0), 4, 4}, {seconds(1), 4, 1}});
  const RecordingObserver seen = run_pools(config, again);
  check(seen, 0, 0, 23, 56);
  check(seen, 1, 0, 61, 94);
  check(seen, 2, 23, 37, 37);
}

TEST_CASE("transfers share the links of the topology fairly") {
  // Four GPUs behind a switch, 8 bytes/s each way. Two prefill replicas send 40 bytes at the same moment to one decode replica: 4 bytes/s each.
  ClusterSpec cluster;
  cluster.gpu.memory = Bytes(80'000'000'000);
  cluster.node.gpus = 4;
  cluster.node.topology = ScaleUpTopology::kSwitch;
  cluster.node.scale_up_bandwidth = BytesPerSecond(8);
  cluster.gpus = 4;
  const Topology topology(cluster);
  DisaggregatedConfig config = pools(2, 1);
  config.topology = &topology;
  config.prefill.first_gpu = {0, 1};
  config.decode.first_gpu = {2};
  config.transfer.bytes_per_token = 10;
  config.transfer.limit = 1e30;
  ListSource source({{seconds(0), 4, 2}, {seconds(0), 4, 2}});
  TransferObserver seen;
  simulate(config, kCost, kCost, source, seen, 1);
  REQUIRE(seen.transfers.size() == 2);
  for (const KvTransferRecord& t : seen.transfers) {
    CHECK(t.start == seconds(14));
    CHECK(to_seconds(t.end).value() == doctest::Approx(14 + 41.0 / 4));
  }
  // Of two GPUs per replica each sends half: twice as fast.
  config.prefill = pools(1, 1).prefill;
  config.prefill.first_gpu = {0};
  config.decode.first_gpu = {2};
  config.prefill.gpus = config.decode.gpus = 2;
  ListSource alone({{seconds(0), 4, 2}});
  TransferObserver wide;
  simulate(config, kCost, kCost, alone, wide, 1);
  REQUIRE(wide.transfers.size() == 1);
  CHECK(to_seconds(wide.transfers[0].end).value() == doctest::Approx(14 + 41.0 / 16));
}

TEST_CASE("requests, tokens and KV are conserved over the pools, with scarce KV and open and closed sources") {
  const AffineStepCost cost(0.1, 0.01, 0.0003, 0.05, 0.2);
  for (const bool closed : {false, true}) {
    for (const bool reuse : {false, true}) {
      DisaggregatedConfig config = pools(2, 2, 40);
      config.prefill.replica.kv_capacity = Bytes(30);
      config.prefill.replica.kv_reuse.enabled = reuse;
      config.transfer.limit = 100;
      config.transfer.layerwise = true;
      config.transfer.stay_below = 5;
      RecordingObserver seen;
      PoissonSource open(1.2, 1500, {1, 40}, {1, 40}, 5);
      testing::ClosedSource loop(12, 1500, SimTime(1000), {1, 40}, {1, 40}, 5);
      RequestSource& source = closed ? static_cast<RequestSource&>(loop) : open;
      simulate(config, cost, cost, source, seen, 3);
      CHECK(seen.finished.size() == 1500);
      CHECK(seen.by_id().size() == 1500);
      CHECK(seen.preempted.size() > 0);
      std::int64_t gaps = 0;
      for (const FinishedRequest& r : seen.finished) {
        gaps += r.spec.output_tokens - 1;
        REQUIRE(r.spec.arrival <= r.scheduled);
        REQUIRE(r.scheduled < r.first_token);
        REQUIRE(r.first_token <= r.last_token);
      }
      CHECK(seen.gap_tokens() == gaps);
      // Who prefilled: prompts of one output token end there, shorter ones than 5 tokens never come.
      for (const FinishedRequest& r : seen.finished) REQUIRE((r.replica < 2) == (r.spec.prompt_tokens >= 5 && r.spec.output_tokens == 1));
      RecordingObserver again;
      PoissonSource open2(1.2, 1500, {1, 40}, {1, 40}, 5);
      testing::ClosedSource loop2(12, 1500, SimTime(1000), {1, 40}, {1, 40}, 5);
      simulate(config, cost, cost, closed ? static_cast<RequestSource&>(loop2) : open2, again, 3);
      CHECK(again.text() == seen.text());
    }
  }
}
