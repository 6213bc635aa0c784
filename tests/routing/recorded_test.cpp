// Against measured batches: real top-6 choices of DeepSeek-V2-Lite (deepseek-ai/ESFT), cut into batches; figures are means over batches and
// 26 layers.
#include <doctest/doctest.h>

#include <string>

#include "base/error.hpp"
#include "routing/load_sampler.hpp"
#include "routing/placement.hpp"
#include "routing/popularity.hpp"

using namespace moeplan;

namespace {

RecordedCounts counts_of(const std::string& name) {
  return load_recorded(std::string(MOEPLAN_SOURCE_DIR) + "/scenarios/routing/" + name + ".csv");
}

MoeSpec v2_lite() {
  MoeSpec moe;
  moe.experts = 64;
  moe.top_k = 6;
  return moe;
}

RoutingConfig recorded(const std::string& name) {
  RoutingConfig config;
  config.popularity = PopularityKind::kRecorded;
  config.recorded = counts_of(name);
  config.locality = measured_locality();
  return config;
}

struct Seen {
  double distinct = 0;
  double imbalance = 0;
};

/// Means over layers and `draws` batches of `tokens`.
Seen seen(const LoadSampler& sampler, std::int64_t tokens, RoutingPhase phase, int draws) {
  RandomStream random(7, "test");
  LayerLoad load;
  Seen sum;
  for (int i = 0; i < draws; ++i) {
    for (int layer = 0; layer < sampler.layers(); ++layer) {
      sampler.sample(layer, tokens, phase, random, load);
      sum.distinct += load.distinct_experts;
      sum.imbalance += load.ranks[load.hottest()].pairs / static_cast<double>(load.pairs) * sampler.ranks();
    }
  }
  const double n = static_cast<double>(draws) * sampler.layers();
  return {sum.distinct / n, sum.imbalance / n};
}

double mean_imbalance(const RoutingConfig& config, const PlacementConfig& placement, int layers) {
  double sum = 0;
  for (int layer = 0; layer < layers; ++layer) {
    const auto shares = expert_shares(config, v2_lite(), layer, 1);
    sum += rank_imbalance(make_placement(placement, shares, layer), shares);
  }
  return sum / layers;
}

}  // namespace

TEST_CASE("independent tokens touch as many experts and load ranks as unevenly as measured") {
  struct Row {
    std::int64_t tokens;
    int ranks;
    double distinct, imbalance;
  };
  // four tasks mixed, contiguous placement
  for (const Row& row : {Row{16, 8, 46.85, 1.4919}, Row{16, 32, 46.85, 2.6144}, Row{64, 8, 62.62, 1.3396}, Row{256, 8, 64.0, 1.2948},
                         Row{256, 32, 64.0, 2.0028}, Row{4096, 8, 64.0, 1.2737}, Row{4096, 32, 64.0, 1.9610}}) {
    const auto sampler = make_load_sampler(v2_lite(), 26, recorded("deepseek-v2-lite-pooled"), {.ranks = row.ranks}, 1);
    const Seen got = seen(*sampler, row.tokens, RoutingPhase::kDecode, 40);
    CAPTURE(row.tokens);
    CAPTURE(row.ranks);
    CHECK(got.distinct == doctest::Approx(row.distinct).epsilon(0.015));
    CHECK(got.imbalance == doctest::Approx(row.imbalance).epsilon(0.025));
  }
}

TEST_CASE("neighbouring tokens touch fewer experts, as measured") {
  struct Row {
    const char* task;
    std::int64_t tokens;
    double distinct, imbalance;  // at EP8
  };
  for (const Row& row :
       {Row{"law", 16, 39.408, 1.710}, Row{"law", 64, 58.431, 1.5331}, Row{"law", 256, 63.625, 1.4173}, Row{"summary", 16, 39.962, 1.6816},
        Row{"summary", 64, 57.531, 1.5476}, Row{"translation", 16, 32.540, 1.8940}, Row{"translation", 4096, 63.99, 1.6885}}) {
    const auto sampler = make_load_sampler(v2_lite(), 26, recorded(std::string("deepseek-v2-lite-") + row.task), {.ranks = 8}, 1);
    const Seen got = seen(*sampler, row.tokens, RoutingPhase::kPrefill, 100);
    CAPTURE(row.task);
    CAPTURE(row.tokens);
    CHECK(got.distinct == doctest::Approx(row.distinct).epsilon(0.04));
    CHECK(got.imbalance == doctest::Approx(row.imbalance).epsilon(0.05));
  }
}

TEST_CASE("long-run rank imbalance grows with the expert-parallel width as measured") {
  struct Row {
    int ranks;
    double contiguous, balanced;
  };
  for (const Row& row :
       {Row{4, 1.1280, 1.0040}, Row{8, 1.2721, 1.0174}, Row{16, 1.5407, 1.0662}, Row{32, 1.9595, 1.4993}, Row{64, 2.7316, 2.7316}}) {
    const RoutingConfig pooled = recorded("deepseek-v2-lite-pooled");
    CAPTURE(row.ranks);
    CHECK(mean_imbalance(pooled, {.ranks = row.ranks}, 26) == doctest::Approx(row.contiguous).epsilon(0.005));
    CHECK(mean_imbalance(pooled, {.ranks = row.ranks, .kind = PlacementKind::kBalanced}, 26) ==
          doctest::Approx(row.balanced).epsilon(0.01));
  }
}

TEST_CASE("a placement tuned on another task gains nothing") {
  // measured at EP8, balanced on `law`, evaluated on `intent`: 1.454, its own 1.011, contiguous 1.441
  const RoutingConfig intent = recorded("deepseek-v2-lite-intent");
  CHECK(mean_imbalance(intent, {.ranks = 8, .kind = PlacementKind::kBalanced}, 26) == doctest::Approx(1.011).epsilon(0.01));
  const PlacementConfig stale{
      .ranks = 8, .kind = PlacementKind::kBalanced, .redundant_experts = 0, .tuned_on = counts_of("deepseek-v2-lite-law")};
  CHECK(mean_imbalance(intent, stale, 26) == doctest::Approx(1.454).epsilon(0.03));
}

TEST_CASE("DeepSeek-R1's published imbalance and its cure by redundant experts come out") {
  // TensorRT-LLM: hottest rank / mean 2.56 at EP32; 1.12 at EP36 with 288 slots placed by load; 1024 pairs per rank and iteration
  MoeSpec r1;
  r1.experts = 256;
  r1.top_k = 8;
  const RoutingConfig config = default_routing("deepseek", r1);
  CHECK(config.popularity == PopularityKind::kLognormal);
  const auto plain = make_load_sampler(r1, 58, config, {.ranks = 32}, 3);
  CHECK(seen(*plain, 4096, RoutingPhase::kDecode, 2).imbalance == doctest::Approx(2.56).epsilon(0.10));
  const auto balanced = make_load_sampler(r1, 58, config, {.ranks = 36, .kind = PlacementKind::kBalanced, .redundant_experts = 32}, 3);
  CHECK(seen(*balanced, 4608, RoutingPhase::kDecode, 2).imbalance == doctest::Approx(1.12).epsilon(0.10));
}

TEST_CASE("recorded popularity for another number of experts is refused") {
  MoeSpec moe;
  moe.experts = 8;
  moe.top_k = 2;
  CHECK_THROWS_AS(make_load_sampler(moe, 32, recorded("deepseek-v2-lite-pooled"), {}, 1), InputError);
  RoutingConfig mixtral;
  mixtral.popularity = PopularityKind::kRecorded;
  mixtral.recorded = counts_of("mixtral-8x7b");
  CHECK(make_load_sampler(moe, 32, mixtral, {}, 1)->layers() == 32);
}
