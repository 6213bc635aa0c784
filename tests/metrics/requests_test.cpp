#include <algorithm>

#include "metrics/fleet_metrics.hpp"
#include "metrics/observer_list.hpp"
#include "metrics/request_counts.hpp"
#include "metrics/request_log.hpp"
#include "metrics_support.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using namespace moeplan::test;

TEST_CASE("requests are conserved, and a lost one shows as in flight") {
  RequestCounter counter;
  counter.on_finished(finished(arriving(0, 0), 0, 1, 1));
  counter.on_finished(finished(arriving(1, 0), 0, 1, 1));
  counter.on_rejected(arriving(2, 0), RejectReason::kQueueFull, at(0));
  counter.on_rejected(arriving(3, 0), RejectReason::kTooLong, at(0));
  counter.on_preempted(0, 0, at(0));
  counter.on_preempted(0, 0, at(0));
  RequestCounts counts = counter.counts(4);
  CHECK(counts.arrived == 4);
  CHECK(counts.completed == 2);
  CHECK(counts.rejected() == 2);
  CHECK(counts.rejected_by[static_cast<std::size_t>(RejectReason::kQueueFull)] == 1);
  CHECK(counts.preempted == 2);
  CHECK(counts.in_flight == 0);
  CHECK(counter.counts(5).in_flight == 1);
  CHECK_THROWS_AS(static_cast<void>(counter.counts(3)), InternalError);
}

TEST_CASE("the request log has one row a finished request in order of id") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "requests.csv";
  RequestLog log(file, {"chat", "a,\"b\""});
  FinishedRequest second = finished(arriving(1, 0.25, 7), 0.5, 1.5, 12.000000001);
  second.spec.class_id = 1;
  second.replica = 3;
  second.preemptions = 2;
  log.on_finished(second);
  log.on_finished(finished(arriving(3, 2), 2, 3, 3));
  log.on_rejected(arriving(2, 1), RejectReason::kTooLong, at(1));
  log.on_finished(finished(arriving(0, 0), 0, 1, 1));
  CHECK_FALSE(std::filesystem::exists(file));
  log.on_end(at(13));
  CHECK(slurp(file) ==
        "id,class,arrival_s,scheduled_s,first_token_s,last_token_s,prompt_tokens,output_tokens,replica,preemptions\n"
        "0,chat,0.000000000,0.000000000,1.000000000,1.000000000,100,1,0,0\n"
        "1,\"a,\"\"b\"\"\",0.250000000,0.500000000,1.500000000,12.000000001,100,7,3,2\n"
        "3,chat,2.000000000,2.000000000,3.000000000,3.000000000,100,1,0,0\n");
}

TEST_CASE("a request log of many requests is whole") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "requests.csv";
  RequestLog log(file, {"default"});
  for (std::uint64_t id = 0; id < 5000; ++id) log.on_finished(finished(arriving(id ^ 1U, 0), 0, 1, 1));
  log.on_end(at(1));
  const std::string text = slurp(file);
  CHECK(std::count(text.begin(), text.end(), '\n') == 5001);
  CHECK(text.find("\n4999,default,") != std::string::npos);
}

TEST_CASE("a request that ends twice is a bug of ours") {
  const TemporaryFolder folder;
  RequestLog log(folder.path() / "requests.csv", {"default"});
  log.on_finished(finished(arriving(1, 0), 0, 1, 1));
  CHECK_THROWS_AS(log.on_finished(finished(arriving(1, 0), 0, 1, 1)), InternalError);
  log.on_finished(finished(arriving(0, 0), 0, 1, 1));
  CHECK_THROWS_AS(log.on_finished(finished(arriving(0, 0), 0, 1, 1)), InternalError);
}

TEST_CASE("an observer list passes each event to those who asked for it, in order") {
  struct Probe final : Observer {
    std::string calls;
    void on_arrival(const RequestSpec&) override { calls += 'a'; }
    void on_rejected(const RequestSpec&, RejectReason, SimTime) override { calls += 'r'; }
    void on_preempted(std::uint64_t, std::int32_t, SimTime) override { calls += 'p'; }
    void on_finished(const FinishedRequest&) override { calls += 'f'; }
    void on_step(const StepRecord&) override { calls += 's'; }
    void on_token_gaps(SimTime, SimTime, std::int64_t) override { calls += 't'; }
    void on_end(SimTime) override { calls += 'e'; }
  };
  Probe all;
  Probe steps;
  Probe requests;
  ObserverList list({&all});
  list.add(steps, ObserverList::kSteps);
  list.add(requests, ObserverList::kRequests);
  const RequestSpec spec = arriving(0, 0);
  list.on_arrival(spec);
  list.on_rejected(spec, RejectReason::kTooLong, at(0));
  list.on_preempted(0, 0, at(0));
  list.on_step(StepRecord{});
  list.on_token_gaps(at(0), at(0), 1);
  list.on_finished(finished(spec, 0, 1, 1));
  list.on_end(at(1));
  CHECK(all.calls == "arpstfe");
  CHECK(steps.calls == "se");
  CHECK(requests.calls == "arpfe");
}

TEST_CASE("the mean cold start is of those that ended in a replica that served") {
  FleetMetrics m;
  m.on_replica_phase({0, ReplicaPhase::kStarting, at(0), at(10)});
  m.on_replica_phase({1, ReplicaPhase::kStarting, at(0), at(2), false});
  m.on_replica_phase({2, ReplicaPhase::kStarting, at(5), at(25)});
  m.on_end(at(30));
  CHECK(m.starts() == 2);
  CHECK(m.start_seconds() == doctest::Approx(30));
  CHECK(m.count(ReplicaPhase::kStarting) == 3);
  CHECK(m.held_seconds() == doctest::Approx(32));
}
