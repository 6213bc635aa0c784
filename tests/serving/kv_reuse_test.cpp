// The prefix cache inside a running replica, and the hit rate of a recorded trace against caches written independently.
#include <doctest/doctest.h>

#include <list>
#include <unordered_map>

#include "serving/kv_reuse.hpp"
#include "support/serving_fixture.hpp"
#include "workload/request_sources.hpp"

using namespace moeplan;
using namespace moeplan::testing;

namespace {

class EndObserver final : public Observer {
 public:
  void on_replica_end(const ReplicaReport& r) override {
    if (r.kv_reuse != nullptr) total += *r.kv_reuse;
  }
  void on_finished(const FinishedRequest&) override { ++finished; }
  KvReuseReport total;
  std::uint64_t finished = 0;
};

WorkloadConfig mooncake() {
  WorkloadConfig config;
  config.arrivals.process = ArrivalProcess::kTrace;
  config.arrivals.file = std::string(MOEPLAN_SOURCE_DIR) + "/scenarios/traces/mooncake_conversation.csv";
  config.arrivals.prompt_blocks = true;
  config.classes.push_back({});
  config.classes[0].prompt_tokens = LengthConfig::from_trace();
  config.classes[0].output_tokens = LengthConfig::from_trace();
  return config;
}

/// Share of prompt tokens that a cache of `capacity` recorded blocks holds, requests one after the other: a list in order of use and a map.
double independent_hit_rate(std::size_t capacity) {
  const auto source = make_request_source(mooncake(), 1);
  std::list<std::uint32_t> order;  // most recently used first
  std::unordered_map<std::uint32_t, std::list<std::uint32_t>::iterator> where;
  double hit = 0;
  double all = 0;
  while (const auto spec = source->next()) {
    const auto blocks = spec->trace_blocks;
    std::size_t known = 0;
    while (known < blocks.size() && where.count(blocks[known]) > 0) ++known;
    hit += std::min<double>(512.0 * static_cast<double>(known), spec->prompt_tokens);
    all += spec->prompt_tokens;
    for (std::size_t i = blocks.size(); i-- > 0;) {  // the end of a prompt is older than its beginning
      const auto it = where.find(blocks[i]);
      if (it != where.end()) order.erase(it->second);
      order.push_front(blocks[i]);
      where[blocks[i]] = order.begin();
    }
    while (order.size() > capacity) {
      where.erase(order.back());
      order.pop_back();
    }
  }
  return hit / all;
}

double simulated_hit_rate(std::int64_t tokens, int replicas = 1, RequestRouting routing = RequestRouting::kRoundRobin) {
  const auto source = make_request_source(mooncake(), 1);
  ClusterConfig config;
  config.replicas = replicas;
  config.routing = routing;
  config.replica.scheduler.max_batch_tokens = 100'000;
  config.replica.kv_layout.block_tokens = 16;
  config.replica.kv_layout.block = Bytes(1);
  config.replica.kv_capacity = Bytes(tokens / 16);
  config.replica.kv_reuse.enabled = true;
  EndObserver seen;
  simulate(config, AffineStepCost(0.01, 0, 0, 1e-6), *source, seen, 1);
  CHECK(seen.finished == 12031);
  return static_cast<double>(seen.total.hit_tokens) / static_cast<double>(seen.total.prompt_tokens);
}

}  // namespace

TEST_CASE("the hit rate of the Mooncake trace is that of an infinite and of a finite LRU cache computed apart") {
  const double infinite = independent_hit_rate(1'000'000);
  CHECK(infinite > 0.3);
  CHECK(simulated_hit_rate(1'000'000'000) == doctest::Approx(infinite).epsilon(0.02 / infinite));
  const double finite = independent_hit_rate(6'000);  // 3.1 million tokens
  CHECK(finite < infinite - 0.05);
  CHECK(simulated_hit_rate(6'000 * 512) == doctest::Approx(finite).epsilon(0.02 / finite));
}

TEST_CASE("over several replicas a router that sees prefixes finds more of them than one that does not") {
  const double blind = simulated_hit_rate(2'000'000, 4, RequestRouting::kLeastOutstandingTokens);
  const double aware = simulated_hit_rate(2'000'000, 4, RequestRouting::kPrefixAware);
  CHECK(aware > blind + 0.1);
}

TEST_CASE("found tokens are not computed again, and at least one token is") {
  // Blocks of 4. A: 8 + 5 tokens, 12 written. B continues it with 14: 12 found, 2 computed; C is A's twin: 4 found of 8 (one block must be
  // left to compute the last token).
  std::vector<RequestSpec> specs(3);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    specs[i].id = i;
    specs[i].session_id = 1;
    specs[i].arrival = seconds(static_cast<std::int64_t>(1000 * i));
    specs[i].prompt_tokens = i == 1 ? 14 : 8;
    specs[i].output_tokens = 5;
  }
  ClusterConfig config = small_cluster();
  config.replica.kv_reuse.enabled = true;
  RecordingObserver seen;
  const AffineStepCost cost(10, 1, 0, 1);
  Replica replica(0, config.replica, cost, seen, 1);
  for (const RequestSpec& spec : specs) {
    replica.advance_to(spec.arrival);
    replica.enqueue(spec, spec.arrival);
  }
  replica.advance_to(kNever);
  CHECK(seen.by_id().at(0).cached_tokens == 0);
  CHECK(seen.by_id().at(1).cached_tokens == 12);
  CHECK(seen.by_id().at(2).cached_tokens == 4);
  CHECK(seen.by_id().at(1).first_token == seconds(1000 + 10 + 2));
  CHECK(replica.kv_cache().used() == Bytes(0));
  CHECK(replica.outstanding_tokens() == 0);
}

TEST_CASE("with scarce blocks everything ends, nothing is lost and no KV is left behind") {
  for (const PrefillMode mode : {PrefillMode::kMixed, PrefillMode::kSeparate}) {
    for (const std::int64_t host : {0, 50}) {
      ClusterConfig config = small_cluster(30);
      config.replica.scheduler.prefill_mode = mode;
      config.replica.kv_reuse.enabled = true;
      config.replica.kv_reuse.host = Bytes(host);
      config.replica.kv_reuse.host_rate = BytesPerSecond(10);
      config.replica.kv_reuse.reload = KvReload::kAlways;
      RecordingObserver seen;
      const AffineStepCost cost(0.1, 0.01, 0.0003, 0.05, 0.2);
      Replica replica(0, config.replica, cost, seen, 1);
      RandomStream random(3, "test");
      SimTime now{0};
      for (std::uint64_t id = 0; id < 600; ++id) {
        RequestSpec spec;
        spec.id = id;
        now += to_sim_time(Seconds(random.exponential() * 2.5));
        spec.arrival = now;
        spec.prompt_tokens = 1 + static_cast<int>(random.below(40));
        spec.output_tokens = 1 + static_cast<int>(random.below(40));
        spec.prefix_id = random.below(4);
        spec.prefix_tokens = std::min(spec.prompt_tokens, 10);
        spec.session_id = random.below(30);
        replica.advance_to(now);
        replica.enqueue(spec, now);
      }
      replica.advance_to(kNever);
      CHECK(seen.finished.size() == 600);
      CHECK(seen.preempted.size() > 10);
      CHECK(replica.kv_cache().used() == Bytes(0));
      CHECK(replica.kv_cache().promised() == Bytes(0));
      CHECK(replica.outstanding_tokens() == 0);
      const KvReuseReport report = replica.kv_reuse()->report();
      CHECK(report.hit_tokens > 0);
      CHECK(report.at_end[0] <= 30);
      CHECK((report.fetched_host.value() > 0) == (host > 0));
      std::int64_t gaps = 0;
      for (const FinishedRequest& r : seen.finished) gaps += r.spec.output_tokens - 1;
      CHECK(seen.gap_tokens() == gaps);
    }
  }
}

TEST_CASE("a step ends no earlier than the fetch it needs, and blocks are fetched only where that is faster") {
  // 3 blocks on the GPU, 8 below. A: 12 + 1 tokens, 3 blocks; B pushes them down; A's twin pushes B's 3 blocks down and fetches 2 (8 tokens; one
  // block is computed). At 0.1 blocks/s writing takes 30 s and the fetch 20 s against 10 + 4 s of computing: the step ends at 2050.
  const auto twin = [](KvReload reload, double rate) {
    ClusterConfig config = small_cluster(3);
    config.replica.scheduler.max_batch_tokens = 100;
    config.replica.kv_reuse = {true, Bytes(8), Bytes(0), BytesPerSecond(rate), BytesPerSecond(0), reload, Seconds(1)};
    RecordingObserver seen;
    const AffineStepCost cost(10, 1, 0, 1);
    Replica replica(0, config.replica, cost, seen, 1);
    for (std::uint64_t id = 0; id < 3; ++id) {
      RequestSpec spec;
      spec.id = id;
      spec.session_id = id == 1 ? 2 : 1;
      spec.arrival = seconds(static_cast<std::int64_t>(id) * 1000);
      spec.prompt_tokens = 12;
      spec.output_tokens = 1;
      replica.advance_to(spec.arrival);
      replica.enqueue(spec, spec.arrival);
    }
    replica.advance_to(kNever);
    return seen.by_id().at(2).first_token;
  };
  CHECK(twin(KvReload::kAlways, 0.1) == seconds(2050));
  CHECK(twin(KvReload::kCompute, 0.1) == seconds(2022));
  CHECK(twin(KvReload::kFaster, 0.1) == seconds(2022));  // 10 s a block against 4 s
  CHECK(twin(KvReload::kFaster, 0.5) == seconds(2014));  // 2 s a block against 4 s
}

TEST_CASE("what a link has still to write counts where the faster of fetching and computing is taken") {
  // 6 blocks of 4 tokens on the GPU; 0.3 blocks/s: 2 blocks are fetched in 6.7 s and computed in 8. A, B, C; at 3000 A's 3 blocks lie below. D, admitted just
  // before A's twin, pushes 3 more down, which takes the link for 10 s.
  const auto found = [](bool with_d) {
    ClusterConfig config = small_cluster(6);
    config.replica.scheduler.max_batch_tokens = 100;
    config.replica.kv_reuse = {true, Bytes(20), Bytes(0), BytesPerSecond(0.3), BytesPerSecond(0), KvReload::kFaster, Seconds(1)};
    RecordingObserver seen;
    const AffineStepCost cost(10, 1, 0, 1);
    Replica replica(0, config.replica, cost, seen, 1);
    std::uint64_t id = 0;
    const auto send = [&](std::int64_t at, std::int64_t session) {
      RequestSpec spec;
      spec.id = id++;
      spec.session_id = session;
      spec.arrival = seconds(at);
      spec.prompt_tokens = 12;
      spec.output_tokens = 1;
      replica.advance_to(spec.arrival);
      replica.enqueue(spec, spec.arrival);
    };
    send(0, 1);
    send(1000, 2);
    send(2000, 3);
    if (with_d) send(3000, 4);
    send(3000, 1);
    replica.advance_to(kNever);
    return replica.kv_reuse()->report().hit_tokens;
  };
  CHECK(found(false) == 8);
  CHECK(found(true) == 0);
}

TEST_CASE("blocks that move down take the link that fetches come by, and no step's time") {
  // Blocks of 4 tokens: 6 on the GPU, 20 in host memory, 40 on NVMe; 0.1 and 0.2 blocks/s. A, B, C of 3 blocks each, 22 s a step. C, from 2000 to
  // 2022, pushes A's 3 blocks down: written until 2030. A's twin at 2022 pushes B's down, until 2060, and has its 2 blocks at 2080.
  const auto run = [](std::int64_t host_blocks, std::vector<std::int64_t> at) {
    ClusterConfig config = small_cluster(6);
    config.replica.scheduler.max_batch_tokens = 100;
    config.replica.kv_reuse = {true, Bytes(host_blocks), Bytes(40), BytesPerSecond(0.1), BytesPerSecond(0.2), KvReload::kAlways, Seconds(1)};
    RecordingObserver seen;
    const AffineStepCost cost(10, 1, 0, 1);
    Replica replica(0, config.replica, cost, seen, 1);
    for (std::uint64_t id = 0; id < at.size(); ++id) {
      RequestSpec spec;
      spec.id = id;
      spec.session_id = id + 1 == at.size() ? 1 : id + 1;
      spec.arrival = seconds(at[id]);
      spec.prompt_tokens = 12;
      spec.output_tokens = 1;
      replica.advance_to(spec.arrival);
      replica.enqueue(spec, spec.arrival);
    }
    replica.advance_to(kNever);
    const KvReuseReport report = replica.kv_reuse()->report();
    CHECK(report.written_host.value() == report.blocks.moved_down[1]);  // a block is one byte
    CHECK(report.written_nvme.value() == report.blocks.moved_down[2]);
    CHECK(seen.by_id().at(2).first_token == seconds(2022));
    CHECK(report.blocks.inserted == report.at_end[0] + report.at_end[1] + report.at_end[2]);
    return std::pair(seen.by_id().at(at.size() - 1).first_token, report.written_nvme.value());
  };
  CHECK((run(20, {0, 1000, 2000, 2022}) == std::pair(seconds(2080), std::int64_t{0})));
  // Room for 3 blocks in host memory. D, from 3000 to 3022, pushes B's down and so A's on to NVMe, until 3015. A's twin at 3022 pushes C's down and
  // so B's on, until 3037: its 2 blocks come from NVMe by 3047, beside what is written to host memory.
  CHECK((run(3, {0, 1000, 2000, 3000, 3022}) == std::pair(seconds(3047), std::int64_t{6})));
}
