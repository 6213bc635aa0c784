#include "support/json_mutator.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>

using moeplan::test::mutated_json;

namespace {
const std::string kText = R"({ // a comment
  "name": "n", "seed": 1, "rate": "8 /s", "on": true,
  "list": [1, 2.5, {"deep": "3 GB"}] })";

int depth_of(const nlohmann::json& value) {
  int deepest = 0;
  if (value.is_structured()) {
    for (const auto& child : value) deepest = std::max(deepest, 1 + depth_of(child));
  }
  return deepest;
}
}  // namespace

TEST_CASE("the same seed gives the same variant, other seeds give others") {
  std::set<std::string> variants;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    variants.insert(mutated_json(kText, seed));
    REQUIRE(mutated_json(kText, seed) == mutated_json(kText, seed));
  }
  CHECK(variants.size() > 400);
}

TEST_CASE("many variants are valid JSON with other content and many are not JSON at all") {
  const nlohmann::json original = nlohmann::json::parse(kText, nullptr, true, true);
  int broken = 0;
  int changed = 0;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const nlohmann::json parsed = nlohmann::json::parse(mutated_json(kText, seed), nullptr, false, true);
    if (parsed.is_discarded()) ++broken;
    else if (parsed != original) ++changed;
  }
  CHECK(broken > 100);
  CHECK(changed > 150);
}

TEST_CASE("every kind of damage turns up: dropped, renamed and doubled keys, huge and negative numbers, deep nesting, lost units") {
  bool dropped = false;
  bool doubled = false;
  bool negative = false;
  bool huge = false;
  bool deep = false;
  bool unitless = false;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const std::string variant = mutated_json(kText, seed);
    const nlohmann::json parsed = nlohmann::json::parse(variant, nullptr, false, true);
    if (!parsed.is_object()) continue;
    const auto first = variant.find("\"seed\":");
    dropped = dropped || first == std::string::npos;
    doubled = doubled || (first != std::string::npos && variant.find("\"seed\":", first + 1) != std::string::npos);
    const nlohmann::json number = parsed.value("seed", nlohmann::json());
    negative = negative || (number.is_number() && number.get<double>() < 0);
    huge = huge || (number.is_number() && number.get<double>() > 1e18);
    unitless = unitless || parsed.value("rate", nlohmann::json()) == "8";
    deep = deep || depth_of(parsed) > 200;
  }
  CHECK(dropped);
  CHECK(doubled);
  CHECK(negative);
  CHECK(huge);
  CHECK(unitless);
  CHECK(deep);
}
