// How much of the time enough replicas are up. All numbers by hand.
#include "study/plan_outages.hpp"

#include <doctest/doctest.h>

#include "support/plan_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
using doctest::Approx;

namespace {

/// Nodes down an eleventh of the time.
ReliabilityConfig often() {
  ReliabilityConfig r;
  r.failures_per_node_year = 8766.0 / 10;  // one failure in ten hours
  r.restart_s = 1800;
  r.weight_load_bytes_per_s = 1e9;
  return r;
}

}  // namespace

TEST_CASE("nodes are down for their share of the time, and as many replicas as are spare do no harm") {
  // one hour each with 1,800 GB to load at 1 GB/s: down a tenth of the time that a node is up, an eleventh of all time
  const Outages none = outages(often(), {{2, 2, 2}}, 2, 1800e9);
  CHECK(none.weight_load_s == 1800);
  CHECK(none.node_down == Approx(1.0 / 11));
  CHECK(none.nodes_down_mean == Approx(2.0 / 11));
  CHECK(none.availability == Approx(100.0 / 121));
  CHECK_FALSE(none.in_maintenance.has_value());
  CHECK(outages(often(), {{3, 2, 3}}, 3, 1800e9).availability == Approx((1000.0 + 3 * 100) / 1331));
  CHECK(outages(often(), {{2, 2, 1}}, 1, 1800e9).availability == Approx(10.0 / 11));  // both on one node
}

TEST_CASE("two nodes down do no harm where they hold no more replicas than are spare") {
  // Six replicas on five nodes, one node with two; four needed. One down: fine. Two with one each: fine. The full one and another: not. Three: not.
  const double q = 0.1, p = 0.9;
  const double fine = p * (p * p * p * p + 4 * q * p * p * p + 6 * q * q * p * p) + q * p * p * p * p;
  CHECK(shortage({6, 4, 5}, q) == Approx(1 - fine));
  // Three on each of two nodes: whichever fails takes three.
  CHECK(shortage({6, 4, 2}, q) == Approx(1 - p * p));
  CHECK(shortage({6, 3, 2}, q) == Approx(q * q));
}

TEST_CASE("a replica over two nodes dies with either, and its nodes with one replica alone") {
  const double q = 0.1;
  const double dead = 1 - 0.9 * 0.9;
  CHECK(shortage({1, 1, 2, 2}, q) == Approx(dead));
  CHECK(shortage({3, 2, 6, 2}, q) == Approx(3 * dead * dead * (1 - dead) + dead * dead * dead));
}

TEST_CASE("small probabilities are not lost, and nodes that are always down leave nothing") {
  CHECK(shortage({3, 2, 3}, 1e-9) == Approx(3e-18));
  CHECK(shortage({3, 2, 3}, 0) == 0);
  CHECK(shortage({3, 2, 3}, 1) == 1);
}

TEST_CASE("in maintenance the fullest node is out besides; pools both need enough") {
  ReliabilityConfig r = often();
  r.maintenance_nodes = 1;
  const Outages of = outages(r, {{3, 1, 2}}, 2, 1800e9);  // two on one node, one on the other
  CHECK(of.availability == Approx(1 - 1.0 / 121));
  REQUIRE(of.in_maintenance.has_value());
  CHECK(*of.in_maintenance == Approx(10.0 / 11));  // of the node with one
  r.maintenance_off_peak = true;  // for another load than the plan's
  CHECK_FALSE(outages(r, {{3, 1, 2}}, 2, 1800e9).in_maintenance.has_value());
  CHECK(outages(often(), {{1, 1, 1}, {2, 1, 2}}, 3, 1800e9).availability == Approx(10.0 / 11 * 120 / 121));
}

TEST_CASE("a plan's replicas lie as the plan says: spread with spares, else filling nodes") {
  PoolSize pool;
  pool.serving = 4;
  pool.nodes = 2;
  CHECK(spread_of(pool, 2, 8).nodes == 1);
  pool.spare = 4;
  CHECK(spread_of(pool, 2, 8).nodes == 2);
  CHECK(spread_of(pool, 2, 8).needed == 4);
  CHECK(spread_of(pool, 2, 8).replicas == 8);
  CHECK(spread_of(pool, 16, 8).nodes_per_replica == 2);
}

TEST_CASE("the answer of a plan says how many of its replicas are up how often") {
  json question = small_question();
  question["search"]["parallel"] = {{{"tensor", 1}}};
  question["search"]["reliability"] = {{"spare_nodes", 1}, {"maintenance_nodes", 1}};
  question["search"]["limits"]["gpus"] = 64;
  const PlanSpace space = space_of(question);
  const PlanAnswer answer = answer_of(space);
  REQUIRE(answer.headroom.has_value());
  REQUIRE(answer.headroom->outages.has_value());
  const Outages& o = *answer.headroom->outages;
  const PlanFigures& plan = *answer.outcomes[*answer.best].plan;
  CHECK(o.needed == plan.size.serving);
  CHECK(o.replicas == plan.size.serving + plan.size.spare);
  CHECK(o.availability > *o.in_maintenance);
  const json stored = result_of(space, answer)["plan"]["headroom"]["outages"];
  CHECK(stored["availability"] == o.availability);
  CHECK(stored["availability_in_maintenance"] == *o.in_maintenance);
  CHECK(stored["needed_replicas"] == o.needed);
  CHECK(plan_summary(space, answer, report_plan(space, answer, {})).find("  at least " + std::to_string(o.needed) + " of the " + std::to_string(o.replicas) + " replicas are up all but ") !=
        std::string::npos);
}
