#include "network/max_min.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/error.hpp"

using namespace moeplan;

namespace {

using Path = std::vector<LinkUse>;

std::vector<double> rates(std::vector<double> capacities, const std::vector<FlowDemand>& flows) {
  MaxMinSolver solver(std::move(capacities));
  const auto out = solver.solve(flows);
  return {out.begin(), out.end()};
}

constexpr double kFree = std::numeric_limits<double>::infinity();

/// Random flows over `links` links, some limited, some weighted.
struct RandomCase {
  std::vector<double> capacities;
  std::vector<Path> paths;
  std::vector<FlowDemand> flows;

  RandomCase(unsigned seed, int links, int count) {
    std::mt19937 random(seed);
    const auto below = [&](unsigned n) { return static_cast<int>(random() % n); };
    for (int l = 0; l < links; ++l) capacities.push_back(1.0 + below(100));
    paths.resize(static_cast<std::size_t>(count));
    for (Path& path : paths) {
      const int hops = 1 + below(4);
      for (int h = 0; h < hops; ++h) {
        const LinkUse use{below(static_cast<unsigned>(links)), 0.5 * (1 + below(3))};
        if (std::none_of(path.begin(), path.end(), [&](const LinkUse& u) { return u.link == use.link; })) path.push_back(use);
      }
    }
    for (const Path& path : paths) flows.push_back({path, 1.0 + below(3), below(3) == 0 ? 0.25 * (1 + below(8)) : kFree});
  }
};

}  // namespace

TEST_CASE("eight senders into one receiver get an eighth of its link each") {
  // Links 0..7: a sender's own, 80 each; link 8: the receiver's, 80.
  std::vector<Path> paths;
  for (int i = 0; i < 8; ++i) paths.push_back({{i}, {8}});
  std::vector<FlowDemand> flows;
  for (const Path& p : paths) flows.push_back({p});
  for (const double r : rates(std::vector<double>(9, 80.0), flows)) CHECK(r == 10.0);
}

TEST_CASE("two flows over a narrow spine share it while a third under one leaf keeps its own link") {
  // Links: 0, 1, 2 = cards of 50; 3 = spine uplink of 40. Flows: card 0 + spine, card 1 + spine, card 2.
  const Path a{{0}, {3}}, b{{1}, {3}}, c{{2}};
  CHECK(rates({50, 50, 50, 40}, {{a}, {b}, {c}}) == std::vector<double>{20, 20, 50});
}

TEST_CASE("in a parking lot the long flow gets what the fullest of its links leaves it, and the short ones the rest of theirs") {
  // Links of 10, 20, 30. One flow over all three, one more on the first, two more on the second, one on the third.
  // Link 0: 10 / 2 = 5 is the first to fill: long = first = 5. Link 1: (20 - 5) / 2 = 7.5 each. Link 2: 30 - 5 = 25.
  const Path all{{0}, {1}, {2}}, x{{0}}, y{{1}}, z{{2}};
  CHECK(rates({10, 20, 30}, {{all}, {x}, {y}, {y}, {z}}) == std::vector<double>{5, 5, 7.5, 7.5, 25});
}

TEST_CASE("a flow that asks for little leaves the rest to the others") {
  // 30 among three, one asks for 4: the others take (30 - 4) / 2 = 13.
  const Path p{{0}};
  CHECK(rates({30}, {{p, 1, 4}, {p}, {p}}) == std::vector<double>{4, 13, 13});
  CHECK(rates({30}, {{p, 1, 4}, {p, 1, 5}}) == std::vector<double>{4, 5});
}

TEST_CASE("weights divide a link in their proportion, shares count the bytes that cross it") {
  const Path p{{0}};
  CHECK(rates({40}, {{p, 3}, {p, 1}}) == std::vector<double>{30, 10});
  // A flow whose bytes cross the link half: rates equal r, 0.5 r + r = 30.
  const Path half{{0, 0.5}};
  CHECK(rates({30}, {{half}, {p}}) == std::vector<double>{20, 20});
}

TEST_CASE("no flows, no links and links without capacity are answered") {
  CHECK(rates({5}, {}).empty());
  const Path p{{0}};
  CHECK(rates({}, {{Path{}, 1, 7}}) == std::vector<double>{7});
  CHECK(rates({0}, {{p}}) == std::vector<double>{0});
  CHECK_THROWS_AS(rates({5}, {{p, 0}}), InternalError);
  CHECK_THROWS_AS(rates({}, {{p}}), InternalError);
}

TEST_CASE("no link carries more than it can, nobody gets more than asked, and every flow is held by its limit or a full link that treats it fairly") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    const RandomCase c(seed, 12, 40);
    const std::vector<double> r = rates(c.capacities, c.flows);
    std::vector<double> load(c.capacities.size(), 0.0), highest(c.capacities.size(), 0.0);
    for (std::size_t f = 0; f < r.size(); ++f) {
      REQUIRE(r[f] <= c.flows[f].limit * (1 + 1e-12));
      for (const LinkUse& u : c.paths[f]) {
        load[static_cast<std::size_t>(u.link)] += u.share * r[f];
        double& top = highest[static_cast<std::size_t>(u.link)];
        top = std::max(top, r[f] / c.flows[f].weight);
      }
    }
    for (std::size_t l = 0; l < load.size(); ++l) REQUIRE(load[l] <= c.capacities[l] * (1 + 1e-9));
    for (std::size_t f = 0; f < r.size(); ++f) {
      // Max-min: unless satisfied, some link on the way is full and nobody there has a higher level.
      const bool satisfied = r[f] >= c.flows[f].limit * (1 - 1e-9);
      const bool held = std::any_of(c.paths[f].begin(), c.paths[f].end(), [&](const LinkUse& u) {
        const auto l = static_cast<std::size_t>(u.link);
        return load[l] >= c.capacities[l] * (1 - 1e-9) && r[f] / c.flows[f].weight >= highest[l] * (1 - 1e-9);
      });
      REQUIRE((satisfied || held));
    }
  }
}

TEST_CASE("the order of the flows does not matter") {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const RandomCase c(seed, 10, 50);
    const std::vector<double> r = rates(c.capacities, c.flows);
    std::vector<FlowDemand> reversed(c.flows.rbegin(), c.flows.rend());
    const std::vector<double> back = rates(c.capacities, reversed);
    for (std::size_t f = 0; f < r.size(); ++f) CHECK(back[r.size() - 1 - f] == doctest::Approx(r[f]).epsilon(1e-9));
  }
}

TEST_CASE("a solver used again forgets the flows before") {
  MaxMinSolver solver({30.0, 10.0});
  const Path p{{0}}, q{{1}};
  const std::vector<FlowDemand> three{{p}, {p}, {q}};
  CHECK(solver.solve(three)[0] == 15);
  const std::vector<FlowDemand> one{{p}};
  CHECK(solver.solve(one)[0] == 30);
}
