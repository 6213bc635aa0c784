// What changed between two scenarios or stored results, and what that does.
#include "study/compare_differences.hpp"
#include "support/compare_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
namespace fs = std::filesystem;
using doctest::Approx;
using nlohmann::json;

TEST_CASE("one changed input is all that changed") {
  const Comparison c = compared({input(scenario()), input(with(scenario(), "/deployment/precision/experts", R"("fp8")"))});
  REQUIRE(difference(c, "/deployment/precision/experts") != nullptr);
  const Effect* precision = effect(c, "precision");
  REQUIRE(precision != nullptr);
  CHECK(precision->change.at("tpot_p99") < -0.05);
  std::map<std::string, double> all = effect(c, "all of it")->change;
  CHECK(all.at("capacity_per_s") == Approx(*c.rows[1].capacity_per_s / *c.rows[0].capacity_per_s - 1));
  all.erase("capacity_per_s");
  CHECK(precision->change == all);
}

TEST_CASE("two changed inputs are told apart") {
  json changed = with(scenario(), "/deployment/precision/kv_cache", R"("fp8")");
  changed["deployment"]["engine"] = "sglang";
  const Comparison c = compared({input(scenario()), input(changed)});
  REQUIRE(effect(c, "engine") != nullptr);
  REQUIRE(effect(c, "precision") != nullptr);
  CHECK(effect(c, "engine")->change.at("ttft_p99") != effect(c, "precision")->change.at("ttft_p99"));
}

TEST_CASE("an input that cannot be changed alone says why") {
  json wider = with(scenario(), "/deployment/parallel/tensor", "4");
  wider["cluster"]["gpus"] = 4;
  const Comparison c = compared({input(scenario()), input(wider)});
  CHECK(contains(effect(c, "layout")->note, "cannot be run alone: "));
  CHECK(contains(effect(c, "layout")->note, "the cluster offers 2"));
  CHECK(effect(c, "hardware")->change.at("tpot_p99") == 0);
}

TEST_CASE("a stored result of today's program and files is reproduced") {
  const TemporaryFolder folder;
  const Comparison c = compared({stored(folder, result_of(scenario())), input(scenario())});
  CHECK(c.differences.empty());
  REQUIRE(c.effects.size() == 1);
  for (const auto& [metric, change] : c.effects[0].change) CHECK(change == 0);
  CHECK(c.rows[0].stored);
}

TEST_CASE("a file that changed since the result was stored is named, with what it changed") {
  const TemporaryFolder folder;
  json result = result_of(scenario());
  for (json& file : result["provenance"]["files"]) {
    if (file["file"] == "hardware_profiles/fitted/h100-sxm.json") file["sha256"] = std::string(64, '0');
  }
  result["latency"]["tpot_s"]["p99"] = result["latency"]["tpot_s"]["p99"].get<double>() / 1.25;
  const Comparison c = compared({stored(folder, result), input(scenario())});
  REQUIRE(difference(c, "file hardware_profiles/fitted/h100-sxm.json") != nullptr);
  CHECK(difference(c, "file hardware_profiles/fitted/h100-sxm.json")->values[0] == "000000000000");
  const Effect* kernels = effect(c, "driver and kernel profile");
  REQUIRE(kernels != nullptr);
  CHECK(kernels->paths == std::vector<std::string>{"file hardware_profiles/fitted/h100-sxm.json"});
  CHECK(kernels->change.at("tpot_p99") == Approx(0.25));
  CHECK(kernels->change.at("output_tokens_per_s") == 0);
  // Capacity and sweeps are not stored.
  CHECK(c.rows[0].capacity_per_s == c.rows[1].capacity_per_s);
  CHECK(std::any_of(c.notes.begin(), c.notes.end(), [](const std::string& note) {
    return note.find("all else is simulated now, though a file has changed since: hardware_profiles/fitted/h100-sxm.json") != std::string::npos;
  }));
}

TEST_CASE("several changed files and another program are one joint effect") {
  const TemporaryFolder folder;
  json result = result_of(scenario());
  for (json& file : result["provenance"]["files"]) file["sha256"] = std::string(64, '0');
  result["moeplan_version"] = "0.0.1";
  result["latency"]["ttft_s"]["p99"] = result["latency"]["ttft_s"]["p99"].get<double>() * 2;
  const Comparison c = compared({input(scenario()), stored(folder, result)});
  CHECK(difference(c, "moeplan_version")->values[1] == "0.0.1");
  const Effect* joint = effect(c, "files and program together");
  REQUIRE(joint != nullptr);
  CHECK(joint->paths.size() > 3);
  CHECK(joint->change.at("ttft_p99") == Approx(1));
  CHECK(effect(c, "all of it")->change.at("ttft_p99") == Approx(1));
}

TEST_CASE("with the old catalogues at hand, each changed file has its own effect") {
  // Catalogues as they were: the engine took ten times the host time, and a GPU-hour cost another price.
  const TemporaryFolder then;
  for (const char* file : {"hardware_profiles/gpus/h100-sxm.json", "hardware_profiles/nodes/hgx-h100.json",
                           "hardware_profiles/fitted/h100-sxm.json", "scenarios/models/mixtral-8x7b.json"}) {
    then.write(file, slurp(kRoot / file));
  }
  fs::copy(kRoot / "scenarios/schema", then.path() / "scenarios/schema", fs::copy_options::recursive);
  then.write("hardware_profiles/prices.csv",
             "item,kind,unit,value,provider,date,source,notes\nh100-sxm,rental_on_demand,USD/h per GPU,100,P,D,S,\n");
  json engine = json::parse(slurp(kRoot / "hardware_profiles/engines/vllm.json"), nullptr, true, true);
  engine["host"]["per_step"] = "50 ms";
  then.write("hardware_profiles/engines/vllm.json", engine.dump());
  const DataRoot old_data(then.path());
  const Scenario old_scenario =
      resolve_scenario(parse_json(scenario().dump(), "s.json", old_data.schema("scenario")), then.path(), old_data);
  const TemporaryFolder folder;
  const json result = json::parse(result_json(old_scenario, run_scenario(old_scenario, {}), old_data));
  const Comparison c = compared({stored(folder, result), input(scenario())}, &old_data);
  REQUIRE(effect(c, "engine") != nullptr);
  CHECK(effect(c, "engine")->change.at("tpot_p99") < -0.3);
  CHECK(effect(c, "program") == nullptr);
  CHECK(effect(c, "driver and kernel profile") == nullptr);
  CHECK(effect(c, "engine")->change.at("tpot_p99") == Approx(effect(c, "all of it")->change.at("tpot_p99")));
  // The price is a value of the stored scenario, so it shows as the changed input "cost".
  REQUIRE(effect(c, "cost") != nullptr);
  CHECK(effect(c, "cost")->change.at("usd_per_million_output_tokens") < -0.9);
  CHECK(effect(c, "cost")->change.at("tpot_p99") == 0);
}

TEST_CASE("a stored result whose model is not at hand is compared by what it stored") {
  const TemporaryFolder folder;
  json result = result_of(scenario());
  result["scenario"]["model"] = "ours-34b";
  const Comparison c = compared({stored(folder, result), input(scenario())});
  CHECK(c.rows[0].model == "ours-34b");
  CHECK(*c.rows[0].tpot_p99_s == result["latency"]["tpot_s"]["p99"].get<double>());
  CHECK_FALSE(c.load_curves[0].has_value());
  CHECK(contains(c.notes.at(0), "cannot be run again"));
  CHECK(complaint_of([&] {
          compared({stored(folder, result), stored(folder, result)});
        }).find("none of the inputs can be run") != std::string::npos);
}

TEST_CASE("paths tell which input they belong to") {
  CHECK(input_of("/deployment/precision/weights") == "precision");
  CHECK(input_of("/deployment/cost_profile") == "driver and kernel profile");
  CHECK(input_of("file hardware_profiles/engines/vllm.json") == "engine");
  CHECK(input_of("/workload/arrivals/rate") == "workload");
  CHECK(input_of("/model") == "checkpoint");
}
