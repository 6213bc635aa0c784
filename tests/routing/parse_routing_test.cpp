#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "input/json_reader.hpp"
#include "routing/routing_config.hpp"

using namespace moeplan;

namespace {

RoutingConfig parse(const std::string& text) {
  const JsonDocument document = parse_json(text, "test.json");
  return parse_routing(JsonReader(document), std::string(MOEPLAN_SOURCE_DIR) + "/scenarios");
}

std::filesystem::path written(const std::string& name, const std::string& text) {
  const auto file = std::filesystem::temp_directory_path() / ("moeplan_routing_" + name);
  std::ofstream(file) << text;
  return file;
}

}  // namespace

TEST_CASE("a routing object says kind and parameters") {
  const RoutingConfig config = parse(R"({"popularity": "lognormal", "sigma": 0.5, "noise": 0.1})");
  CHECK(config.popularity == PopularityKind::kLognormal);
  CHECK(config.sigma == 0.5);
  CHECK(config.noise == 0.1);
  CHECK(config.locality.copy > 0);
  CHECK(parse(R"({"popularity": "uniform"})").locality.copy == 0);
  CHECK(parse(R"({"popularity": "uniform", "locality": {"copy": 0.3}})").locality.copy == 0.3);
  CHECK(parse(R"({"popularity": "recorded", "file": "routing/mixtral-8x7b.csv"})").recorded.layers.size() == 3);
}

TEST_CASE("a locality keeps as many experts as measured, or as many as it copies, or as it says") {
  CHECK(parse(R"({"popularity": "uniform", "locality": {"copy": 0.3}})").locality.kept == measured_locality().kept);
  CHECK(parse(R"({"popularity": "uniform", "locality": {"copy": 0.8}})").locality.kept == 0.8);
  CHECK(parse(R"({"popularity": "uniform", "locality": {"copy": 0.3, "kept": 1}})").locality.kept == 1);
  CHECK_THROWS_AS(parse(R"({"popularity": "uniform", "locality": {"copy": 0.3, "kept": 0.2}})"), InputError);
}

TEST_CASE("wrong routing is refused") {
  CHECK_THROWS_AS(parse(R"({"popularity": "lognormal"})"), InputError);
  CHECK_THROWS_AS(parse(R"({"popularity": "lognormal", "sigma": -1})"), InputError);
  CHECK_THROWS_AS(parse(R"({"popularity": "lognormul", "sigma": 1})"), InputError);
  CHECK_THROWS_AS(parse(R"({"popularity": "recorded", "file": "routing/none.csv"})"), InputError);
}

TEST_CASE("redundant experts need a balanced placement") {
  const JsonDocument document = parse_json(R"({"popularity": "uniform", "placement": "balanced", "redundant_experts": 32})", "test.json");
  const PlacementConfig placement = parse_placement(JsonReader(document), ".", 36);
  CHECK(placement.kind == PlacementKind::kBalanced);
  CHECK(placement.redundant_experts == 32);
  CHECK(placement.ranks == 36);
  const JsonDocument wrong = parse_json(R"({"popularity": "uniform", "redundant_experts": 32})", "test.json");
  CHECK_THROWS_AS(parse_placement(JsonReader(wrong), ".", 36), InputError);
}

TEST_CASE("malformed recorded counts are refused") {
  CHECK(load_recorded(written("good.csv", "layer,expert,count\n0,0,3\n0,1,5\n")).layers[0] == std::vector<double>{3, 5});
  CHECK_THROWS_AS(load_recorded(written("twice.csv", "layer,expert,count\n0,0,3\n0,0,5\n")), InputError);
  CHECK_THROWS_AS(load_recorded(written("gap.csv", "layer,expert,count\n0,0,3\n0,2,5\n")), InputError);
  CHECK_THROWS_AS(load_recorded(written("negative.csv", "layer,expert,count\n0,0,-3\n0,1,5\n")), InputError);
  CHECK_THROWS_AS(load_recorded(written("idle.csv", "layer,expert,count\n0,0,0\n0,1,0\n")), InputError);
  CHECK_THROWS_AS(load_recorded(written("empty.csv", "layer,expert,count\n")), InputError);
  CHECK_THROWS_AS(load_recorded(written("column.csv", "layer,expert\n0,0\n")), InputError);
}
