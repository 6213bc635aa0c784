// What a plan is sized for: load factors, packing of replicas on nodes, spares, outages. All numbers by hand.
#include "study/plan_load.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace moeplan;

namespace {

WorkloadConfig poisson(double rate) {
  WorkloadConfig w;
  w.arrivals.rate = rate;
  w.classes = {{}};
  w.classes[0].prompt_tokens = LengthConfig::fixed(100);
  w.classes[0].output_tokens = LengthConfig::fixed(10);
  w.requests = 1000;
  return w;
}

}  // namespace

TEST_CASE("the peak is the busiest hour of the last month, the mean and the trough those of that month, too") {
  LoadGrowth load;
  load.hourly.assign(24, 0.5);
  load.hourly[14] = 2.0;
  load.hourly[3] = 0.1;
  load.growth_per_month = 0.1;
  load.months = 2;
  load.peak_factor = 1.5;
  const LoadFactors f = load_factors(load, poisson(1));
  // growth 1.1^2 = 1.21; mean hour (22 x 0.5 + 2 + 0.1) / 24 = 13.1 / 24
  CHECK(f.peak == doctest::Approx(2.0 * 1.5 * 1.21));
  CHECK(f.mean == doctest::Approx(13.1 / 24 * 1.21));
  CHECK(f.trough == doctest::Approx(0.1 * 1.21));
  CHECK(peak_in_month(load, poisson(1), 1) == doctest::Approx(2.0 * 1.5 * 1.1));
}

TEST_CASE("without a profile of its own a search takes the workload's hours, and a load that shrinks is sized for today") {
  WorkloadConfig w = poisson(1);
  w.arrivals.hourly_factors.assign(24, 1.0);
  w.arrivals.hourly_factors[0] = 3.0;
  CHECK(load_factors({}, w).peak == 3.0);
  LoadGrowth shrinking;
  shrinking.growth_per_month = -0.5;
  shrinking.months = 1;
  CHECK(load_factors(shrinking, poisson(1)).peak == 1.0);
  CHECK(load_factors(shrinking, poisson(1)).mean == 0.5);
}

TEST_CASE("more load is a higher rate, a faster trace or more clients, without the hours of the day") {
  WorkloadConfig w = poisson(4);
  w.arrivals.hourly_factors.assign(24, 1.0);
  CHECK(scaled_workload(w, 2.5).arrivals.rate == 10);
  CHECK(scaled_workload(w, 2.5).arrivals.hourly_factors.empty());
  w.arrivals.process = ArrivalProcess::kTrace;
  w.arrivals.speedup = 2;
  CHECK(scaled_workload(w, 1.5).arrivals.speedup == 3);
  w.arrivals.process = ArrivalProcess::kClosed;
  w.arrivals.concurrency = 3;
  CHECK(scaled_workload(w, 1.1).arrivals.concurrency == 4);
}

TEST_CASE("replicas fill nodes, and the GPUs that a full node has left over are paid for") {
  // 3 GPUs each on nodes of 8: two on a node, two GPUs of it stranded
  const ReplicaPacking p = pack_replicas(3, 8);
  CHECK(p.replicas_per_node == 2);
  CHECK(size_of(p, 8, 1, 0).gpus == 3);
  CHECK(size_of(p, 8, 2, 0).gpus == 8);
  CHECK(size_of(p, 8, 3, 0).gpus == 11);
  CHECK(size_of(p, 8, 3, 0).nodes == 2);
  // 12 GPUs each: two nodes a replica, charged whole; 16: nothing left over
  CHECK(size_of(pack_replicas(12, 8), 8, 3, 0).gpus == 48);
  CHECK(size_of(pack_replicas(16, 8), 8, 3, 0).gpus == 48);
}

TEST_CASE("N+1 keeps as many replicas serving as a node takes down") {
  // four replicas of two GPUs on a node of eight: a node more holds four spares
  const PlanSize six = size_of(pack_replicas(2, 8), 8, 6, 1);
  CHECK(six.spare == 4);
  CHECK(six.nodes == 3);
  CHECK(six.gpus == 8 + 4 + 8);
  // two replicas lie on one node and die with it: two spares on another
  const PlanSize two = size_of(pack_replicas(2, 8), 8, 2, 1);
  CHECK(two.spare == 2);
  CHECK(two.gpus == 8);
  CHECK(two.nodes == 2);
  // a group over two nodes dies with either: one spare group, two more for N+2
  CHECK(size_of(pack_replicas(16, 8), 8, 3, 1).spare == 1);
  CHECK(size_of(pack_replicas(16, 8), 8, 3, 2).gpus == 80);
}

TEST_CASE("maintenance in the calmest hour takes what lies on a node, and replicas are spread for it") {
  // two replicas of one GPU; the calmest hour needs one: on one node both would go, on two nodes one is left
  const ReplicaPacking one = pack_replicas(1, 8);
  const PlanSize two = size_off_peak(one, 8, 2, 1, 0, 1);
  CHECK(two.gpus == 2);
  CHECK(two.spare == 0);
  CHECK(two.nodes == 2);
  // both are needed then, too: four on two nodes
  CHECK(size_off_peak(one, 8, 2, 2, 0, 1).gpus == 4);
  CHECK(size_off_peak(one, 8, 2, 2, 0, 1).spare == 2);
  // ten on two nodes leave five, enough for four of them
  CHECK(size_off_peak(one, 8, 10, 4, 0, 1).gpus == 10);
  // beside a spare node: three nodes; 8 are left of 12 when one fails, 4 when another is in maintenance
  const PlanSize spared = size_off_peak(one, 8, 8, 4, 1, 1);
  CHECK(spared.gpus == 12);
  CHECK(spared.nodes == 3);
  // groups over two nodes each: any node takes one of them; with one in maintenance two are left of three
  CHECK(size_off_peak(pack_replicas(16, 8), 8, 2, 2, 0, 1).gpus == 48);
  CHECK(size_off_peak(pack_replicas(16, 8), 8, 3, 2, 0, 1).gpus == 48);
}

TEST_CASE("maintenance in the calmest hour never needs more than at the peak, and leaves enough") {
  for (const int width : {1, 2, 3, 4, 8, 12, 16}) {
    const ReplicaPacking packing = pack_replicas(width, 8);
    for (int serving = 1; serving <= 20; ++serving) {
      for (int least = 1; least <= serving; ++least) {
        for (const int spare : {0, 1, 2}) {
          const PlanSize calm = size_off_peak(packing, 8, serving, least, spare, 1);
          CAPTURE(width);
          CAPTURE(serving);
          CAPTURE(least);
          CAPTURE(spare);
          CHECK(calm.gpus <= size_of(packing, 8, serving, spare + 1).gpus);
          const int all = calm.serving + calm.spare;
          const int per_node = packing.nodes_per_replica > 1 ? 1 : (all + calm.nodes - 1) / calm.nodes;
          CHECK(per_node <= packing.replicas_per_node);
          CHECK(all - spare * per_node >= serving);
          CHECK(all - (spare + 1) * per_node >= least);
          CHECK(calm.gpus >= all * width);
        }
      }
    }
  }
}

TEST_CASE("replicas of both pools share nodes where they fit, and a plan's proportion is kept") {
  // two of 2 GPUs for prefill and one of 4 that decodes: one node of 8; one of 8 more needs a node of its own
  CHECK(shared_nodes({1, 2}, 4, 2, 8) == 1);
  CHECK(shared_nodes({1, 1}, 8, 2, 8) == 2);
  PlanSize size;
  size.serving = 6;
  size.prefill.serving = 3;
  const PlanProportion counts(size);
  CHECK(counts.most() == 9);
  CHECK(counts(9).serving == 6);
  CHECK(counts(9).prefill == 3);
  CHECK(counts(1).serving == 1);
  CHECK(counts(1).prefill == 1);
  CHECK(counts(18).serving == 12);
}

TEST_CASE("a stated number of GPUs gives the most serving replicas beside the spare nodes") {
  const ReplicaPacking four = pack_replicas(4, 8);
  CHECK(size_within(four, 8, 32, 0).serving == 8);
  CHECK(size_within(four, 8, 32, 1).serving == 6);
  CHECK(size_within(four, 8, 32, 1).gpus == 32);
  CHECK(size_within(four, 8, 3, 0).serving == 0);
  CHECK(size_within(four, 8, 4, 1).serving == 0);  // one replica needs a second one on another node
}

TEST_CASE("nodes down are Poisson distributed, and as many as are spare do no harm") {
  ReliabilityConfig r;
  r.failures_per_node_year = 8766.0 / 10;  // one failure in ten hours
  r.restart_s = 1800;
  r.weight_load_bytes_per_s = 1e9;
  // one hour each with 1,800 GB to load at 1 GB/s: 2 nodes x 0.1 /h x 1 h = 0.2 nodes down
  Outages none = outages(r, 2, 1800e9);
  CHECK(none.weight_load_s == 1800);
  CHECK(none.nodes_down_mean == doctest::Approx(0.2));
  CHECK(none.availability == doctest::Approx(std::exp(-0.2)));
  r.spare_nodes = 1;
  CHECK(outages(r, 2, 1800e9).availability == doctest::Approx(std::exp(-0.2) * 1.2));
}

TEST_CASE("what clients offer is their rate; a closed loop offers none") {
  const auto offered = offered_load(poisson(4), 1);
  REQUIRE(offered.has_value());
  CHECK(offered->requests_per_s == 4);
  CHECK(offered->output_tokens_per_s == 40);
  WorkloadConfig closed = poisson(0);
  closed.arrivals.process = ArrivalProcess::kClosed;
  closed.arrivals.concurrency = 2;
  CHECK_FALSE(offered_load(closed, 1).has_value());
}
