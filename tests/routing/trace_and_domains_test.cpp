// Choices recorded token by token, routers by how they were trained, and traffic of several domains.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>

#include "base/error.hpp"
#include "input/json_reader.hpp"
#include "routing/grouped_choice.hpp"
#include "routing/load_sampler.hpp"
#include "routing/placement.hpp"
#include "routing/popularity.hpp"
#include "routing/routing_trace.hpp"
#include "routing/token_sampler.hpp"

using namespace moeplan;

namespace {

struct TraceFile {
  explicit TraceFile(const std::string& text) : path(std::filesystem::temp_directory_path() / "moeplan_routing_trace.csv") { std::ofstream(path) << text; }
  ~TraceFile() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

MoeSpec router(int experts, int top_k) {
  MoeSpec moe;
  moe.experts = experts;
  moe.top_k = top_k;
  return moe;
}

RoutingConfig parse(const std::string& text, const MoeSpec& moe, const std::string& family = "") {
  const JsonDocument document = parse_json(text, "test.json");
  return parse_routing(JsonReader(document), ".", family, moe);
}

RoutingDomain domain(const std::string& name, double decode, double prefill, std::vector<double> counts) {
  RoutingDomain d;
  d.name = name;
  d.decode_share = decode;
  d.prefill_share = prefill;
  d.popularity.popularity = PopularityKind::kRecorded;
  d.popularity.recorded.layers = {std::move(counts)};
  return d;
}

}  // namespace

TEST_CASE("a trace of choices becomes counts by layer and expert") {
  const TraceFile file("token,layer,experts\n0,0,1 2\n0,1,0;3\n1,0,2 3\n1,1,0 1\n");
  CHECK(is_routing_trace(file.path));
  const RoutingTrace trace = load_routing_trace(file.path, 5);
  REQUIRE(trace.counts.layers.size() == 2);
  CHECK(trace.counts.layers[0] == std::vector<double>{0, 1, 2, 1, 0});
  CHECK(trace.counts.layers[1] == std::vector<double>{2, 1, 0, 1, 0});
  CHECK(load_routing_trace(file.path, 0).counts.layers[0].size() == 4);
  const RoutingConfig config = parse(R"({"popularity": "recorded", "file": ")" + file.path.string() + "\"}", router(5, 2));
  CHECK(config.recorded.layers == trace.counts.layers);
}

TEST_CASE("steps take the tokens of a trace as they are, until something stated would change them") {
  // Experts come in fixed pairs, 12 tokens of one pair after 12 of the other: a token touches experts 0 1 or 2 3, never 0 2.
  std::string text = "token,layer,experts\n";
  for (int t = 0; t < 24; ++t) text += std::to_string(t) + (t < 12 ? ",0,0 1\n" : ",0,2 3\n");
  const TraceFile file(text);
  const std::string stated = R"({"popularity": "recorded", "file": ")" + file.path.string() + "\"";
  const MoeSpec moe = router(4, 2);
  const auto distinct = [&](const RoutingConfig& config, RoutingPhase phase, std::int64_t tokens) {
    const auto sampler = make_load_sampler(moe, 1, config, {}, 1);
    RandomStream random(3, "test");
    LayerLoad load;
    double sum = 0;
    for (int i = 0; i < 4000; ++i) {
      sampler->sample(0, tokens, phase, random, load);
      CHECK(std::accumulate(load.tokens_per_expert.begin(), load.tokens_per_expert.end(), 0) == tokens * 2);
      CHECK(load.distinct_experts % 2 == 0);
      sum += load.distinct_experts;
    }
    return sum / 4000;
  };
  const RoutingConfig replayed = parse(stated + "}", moe);
  CHECK(replayed.replays(2));
  // Three independent tokens are of one pair once in four: 2 x 1/4 + 4 x 3/4 = 3.5 experts, and never 3, as drawn by popularity.
  CHECK(distinct(replayed, RoutingPhase::kDecode, 1) == 2);
  CHECK(distinct(replayed, RoutingPhase::kDecode, 3) == doctest::Approx(3.5).epsilon(0.02));
  // Five tokens in a row cross one of the two seams, which lie 12 apart, when they begin on one of the 4 before it: 8 of 24 starts.
  CHECK(distinct(replayed, RoutingPhase::kPrefill, 5) == doctest::Approx(2 + 2 * 8.0 / 24).epsilon(0.03));
  // Twice the trace and a token.
  CHECK(distinct(replayed, RoutingPhase::kPrefill, 49) == 4);
  for (const char* change : {R"(, "noise": 0.1})", R"(, "collapsed": 0.5})", R"(, "drift": {"period": "1 h"}})", R"(, "locality": {"copy": 0}})"}) {
    CAPTURE(change);
    CHECK(!parse(stated + change, moe).replays(2));
  }
  CHECK(!replayed.replays(1));
  CHECK(replayed == parse(stated + "}", moe));
}

TEST_CASE("malformed traces of choices are refused with file and line") {
  const auto refusal = [](const std::string& text) {
    const TraceFile file(text);
    try {
      load_routing_trace(file.path, 4);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  const std::string header = "token,layer,experts\n";
  for (const char* row : {"0,0,1 4\n", "0,0,1 1\n", "0,0,\n", "0,0,1 x\n", "-1,0,1 2\n"}) {
    CHECK(refusal(header + row).find("moeplan_routing_trace.csv:2") != std::string::npos);
  }
  CHECK(refusal(header + "0,0,1 2\n1,0,3\n").find(":3") != std::string::npos);
  CHECK(refusal(header + "1,0,1 2\n0,0,1 3\n").find(":3") != std::string::npos);
  CHECK(refusal(header).find("no rows") != std::string::npos);
}

TEST_CASE("the locality of a trace is found again") {
  // 1,500 tokens of a 64-expert router that repeat an earlier choice with probability 0.45, distance ~ d^-1.15
  RoutingConfig config;
  config.popularity = PopularityKind::kLognormal;
  config.sigma = 0.5;
  GroupedCorrection learnt;
  const MoeSpec moe = router(64, 6);
  const RouterChoice choice = make_router_choice(moe, expert_shares(config, moe, 0, 1), learnt, true);
  RandomStream random(1, "test");
  TokenDraws draws(choice, random);
  std::vector<std::vector<int>> tokens;
  std::string text = "token,layer,experts\n";
  const double norm = [] {
    double sum = 0;
    for (int d = 1; d <= 128; ++d) sum += std::pow(d, -1.15);
    return sum;
  }();
  for (int layer = 0; layer < 4; ++layer) {
    tokens.clear();
    for (int t = 0; t < 1500; ++t) {
      int distance = 0;
      if (random.uniform() < 0.45) {
        double x = random.uniform() * norm;
        for (distance = 1; distance < 128 && (x -= std::pow(distance, -1.15)) > 0;) ++distance;
      }
      if (distance > 0 && distance <= t) {
        tokens.push_back(tokens[static_cast<std::size_t>(t - distance)]);
      } else {
        draws.draw(1, [&](const std::uint16_t* experts) { tokens.emplace_back(experts, experts + 6); });
      }
      text += std::to_string(t) + "," + std::to_string(layer) + ",";
      for (const int e : tokens.back()) text += std::to_string(e) + " ";
      text += "\n";
    }
  }
  const TraceFile file(text);
  const RoutingTrace trace = load_routing_trace(file.path, 64);
  // what matters of it: how many choices of a batch are new, and how much more the counts spread, over all experts
  const auto mean = [&](const RoutingLocality& locality, double batch) {
    const LocalityTables tables = make_locality_tables(locality, 6);
    const NeighbourCounts neighbours(choice, tables, batch);
    std::pair<double, double> sum{0, 0};
    for (std::size_t e = 0; e < 64; ++e) {
      sum.first += neighbours.fresh(e) * choice.included[e] / 6;
      sum.second += neighbours.inflation(e) * choice.included[e] / 6;
    }
    return sum;
  };
  for (const double batch : {8.0, 32.0, 128.0}) {
    const auto found = mean(trace.locality, batch);
    const auto wanted = mean({0.45, 1.15, 128}, batch);
    // 78 new choices of 6 touch nearly all of 64 experts: there the fit sees little of them
    CHECK(found.first == doctest::Approx(wanted.first).epsilon(batch < 100 ? 0.05 : 0.1));
    CHECK(found.second == doctest::Approx(wanted.second).epsilon(0.15));
  }
}

TEST_CASE("independent tokens of a trace show no locality") {
  std::string text = "token,layer,experts\n";
  RandomStream random(1, "test");
  for (int t = 0; t < 4000; ++t) {
    const unsigned first = random.below(16);
    text += std::to_string(t) + ",0," + std::to_string(first) + " " + std::to_string((first + 1 + random.below(15)) % 16) + "\n";
  }
  CHECK(load_routing_trace(TraceFile(text).path, 16).locality.copy < 0.1);
}

TEST_CASE("presets say how a router was trained") {
  const double spread = parse(R"({"preset": "auxiliary_loss"})", router(64, 6)).sigma;
  CHECK(parse(R"({"preset": "auxiliary_loss"})", router(8, 2)).sigma < spread);
  CHECK(spread < parse(R"({"preset": "loss_free"})", router(256, 8)).sigma);
  // Shazeer et al. 2017: coefficient of variation 3.01 without balancing losses; sqrt(exp(1.52^2) - 1) = 3.01
  const double sigma = parse(R"({"preset": "no_balancing_loss"})", router(256, 8)).sigma;
  CHECK(std::sqrt(std::exp(sigma * sigma) - 1) == doctest::Approx(3.01).epsilon(0.01));
  CHECK_FALSE(parse(R"({"preset": "loss_free"})", router(256, 8)).source.empty());
  CHECK_THROWS_AS(parse(R"({"preset": "lossfree"})", router(256, 8)), InputError);
  CHECK_THROWS_AS(parse(R"({"preset": "loss_free", "popularity": "uniform"})", router(256, 8)), InputError);
}

TEST_CASE("a routing object without popularity keeps the family's") {
  const RoutingConfig config = parse(R"({"collapsed": 0.25})", router(64, 8), "olmoe");
  CHECK(config.sigma == default_routing("olmoe", router(64, 8)).sigma);
  CHECK(config.collapsed == 0.25);
}

TEST_CASE("drift, capacity, rebalancing are read and refused where they make no sense") {
  const MoeSpec moe = router(64, 8);
  const RoutingConfig config = parse(R"({"drift": {"period": "1 h", "correlation": 0.7}, "capacity_factor": 1.25, "overflow": "reroute"})", moe);
  CHECK(config.drift.period == SimTime{3'600'000'000'000});
  CHECK(config.drift.correlation == 0.7);
  CHECK(config.capacity_factor == 1.25);
  CHECK(config.overflow == Overflow::kReroute);
  CHECK_THROWS_AS(parse(R"({"overflow": "drop"})", moe), InputError);
  CHECK_THROWS_AS(parse(R"({"drift": {"period": "0 s"}})", moe), InputError);
  const auto placed = [](const std::string& text) {
    const JsonDocument document = parse_json(text, "test.json");
    return parse_placement(JsonReader(document), ".", 8);
  };
  const PlacementConfig placement = placed(R"({"placement": "hierarchical", "rebalance": {"period": "10 min"}})");
  CHECK(placement.kind == PlacementKind::kHierarchical);
  CHECK(placement.rebalance.window == placement.rebalance.period);
  CHECK_THROWS_AS(placed(R"({"rebalance": {"period": "10 min"}})"), InputError);
  CHECK_THROWS_AS(placed(R"({"placement": "balanced", "drift": {"period": "1 s"}, "rebalance": {"period": "1 h"}})"), InputError);
}

TEST_CASE("decoding tokens mix the domains, a prompt is of one") {
  // two domains on disjoint halves of 16 experts; 3 of 4 decoded and 1 of 4 prompt tokens are of the first
  RoutingConfig config;
  const std::vector<double> low = {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0};
  const std::vector<double> high = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
  config.domains = {domain("low", 0.75, 0.25, low), domain("high", 0.25, 0.75, high)};
  const auto sampler = make_load_sampler(router(16, 2), 1, config, {.ranks = 2}, 1);
  RandomStream random(1, "test");
  LayerLoad load;
  double first = 0;
  for (int i = 0; i < 400; ++i) {
    sampler->sample(0, 100, RoutingPhase::kDecode, random, load);
    first += load.ranks[0].pairs / 200.0 / 400;
  }
  CHECK(first == doctest::Approx(0.75).epsilon(0.01));
  int of_first = 0;
  for (int i = 0; i < 2000; ++i) {
    sampler->sample(0, 100, RoutingPhase::kPrefill, random, load);
    const double hottest = load.ranks[load.hottest()].pairs;
    CHECK(hottest >= 199);  // experts of the other half have a share of a millionth
    of_first += load.hottest() == 0 ? 1 : 0;
  }
  CHECK(of_first / 2000.0 == doctest::Approx(0.25).epsilon(0.15));
}

TEST_CASE("a hierarchical placement is the one of EPLB's own example") {
  // deepseek-ai/EPLB README, first layer: 12 experts in 4 groups, 16 slots on 8 GPUs of 2 nodes. It puts groups 1 and 2 on node 0; its
  // GPUs hold (5 6) (5 7) (8 4) (3 4) | (10 9) (10 2) (0 1) (11 1): the hottest has 90 + 132 / 2 = 156 of a mean of 1033 / 8.
  const std::vector<double> load = {90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86};
  const Placement placement = hierarchical_placement(load, 8, 4, 2, 4);
  for (int e = 0; e < 12; ++e) {
    const bool twice = e == 5 || e == 4 || e == 10 || e == 1;
    CHECK(placement.ranks_of(e).size() == (twice ? 2u : 1u));
    for (const auto rank : placement.ranks_of(e)) CHECK((rank < 4) == (e >= 3 && e <= 8));
  }
  CHECK(rank_imbalance(placement, load) == doctest::Approx(156.0 / (1033.0 / 8)));
}

TEST_CASE("groups that the nodes cannot share evenly are balanced over all ranks") {
  const std::vector<double> load = {5, 4, 3, 2, 1, 1, 1, 1, 1};
  CHECK(rank_imbalance(hierarchical_placement(load, 3, 0, 2, 3), load) == rank_imbalance(balanced_placement(load, 3, 0), load));
}
