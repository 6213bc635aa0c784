// `moeplan simulate` from the outside.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "support/shipped_scenarios.hpp"

using namespace moeplan::test;
using nlohmann::json;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// `moeplan simulate s.json options...` of the small scenario.
Outcome simulate(const Program& program, std::vector<std::string> options) {
  std::vector<std::string> arguments = {"simulate", program.write("s.json", small_scenario().dump(1))};
  arguments.insert(arguments.end(), options.begin(), options.end());
  return program.run(arguments);
}

}  // namespace

TEST_CASE("every shipped scenario ends in a summary") {
  const Program program;
  for (const auto& file : shipped_scenarios()) {
    CAPTURE(file.filename().string());
    const json scenario = cut_down(file, 40);
    const Outcome outcome = program.run({"simulate", program.write("s.json", scenario.dump(1))});
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.err == "");
    // 0.3 of the requests go to the second deployment: 28 of 40 are left for the first
    const std::string counts = scenario.contains("deployments") ? "28 arrived, 28 completed" : "40 arrived, 40 completed";
    for (const std::string& part : std::vector<std::string>{scenario["name"].get<std::string>(), "memory of the fullest GPU", counts,
                                                            "TTFT", "output tokens/s", "kernel times:"}) {
      CAPTURE(part);
      CHECK(contains(outcome.out, part));
    }
  }
}

TEST_CASE("results go to the files that were named, in full, and leave nothing else behind") {
  const Program program;
  const Outcome outcome = simulate(program, {"--json", "r.json", "--requests", "r.csv"});
  CHECK(outcome.exit_code == 0);
  CHECK(contains(outcome.out, "Mixtral 8x7B on two H100"));
  CHECK(program.files() == std::vector<std::string>{"r.csv", "r.json", "s.json"});
  CHECK(json::parse(program.read("r.json"))["requests"]["completed"] == 40);
  const std::string csv = program.read("r.csv");
  CHECK(csv.starts_with("id,class,arrival_s,"));
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 41);
}

TEST_CASE("a dash writes the JSON to stdout in place of the summary") {
  const Program program;
  const Outcome dash = simulate(program, {"--json", "-"});
  CHECK(dash.exit_code == 0);
  CHECK(simulate(program, {"--json", "r.json"}).exit_code == 0);
  CHECK(dash.out == program.read("r.json"));
}

TEST_CASE("special files are written in place") {
  const Program program;
  const Outcome outcome = simulate(program, {"--json", "/dev/null", "--requests", "/dev/null"});
  CHECK(outcome.exit_code == 0);
  CHECK(outcome.err == "");
  CHECK(program.files() == std::vector<std::string>{"s.json"});
}

TEST_CASE("the same seed gives the same bytes, another seed does not") {
  const Program program;
  const Outcome first = simulate(program, {"--json", "-", "--seed", "7", "--requests", "first.csv"});
  const Outcome second = simulate(program, {"--json", "-", "--seed", "7", "--requests", "second.csv"});
  const Outcome other = simulate(program, {"--json", "-", "--seed", "8", "--requests", "other.csv"});
  CHECK(first.exit_code == 0);
  CHECK(first.out == second.out);
  CHECK(program.read("first.csv") == program.read("second.csv"));
  CHECK(program.read("first.csv") != program.read("other.csv"));
  CHECK(json::parse(first.out)["seed"] == 7);
  CHECK(json::parse(first.out)["latency"] != json::parse(other.out)["latency"]);
}

TEST_CASE("replications give intervals that hold their means, the same on any number of threads") {
  const Program program;
  const Outcome one = simulate(program, {"--replications", "3", "--jobs", "1", "--json", "-"});
  const Outcome two = simulate(program, {"--replications", "3", "--jobs", "2", "--json", "-"});
  REQUIRE(one.exit_code == 0);
  CHECK(one.out == two.out);
  const json result = json::parse(one.out);
  CHECK(result["replications"] == 3);
  const json interval = result["intervals"]["ttft.p99"];
  CHECK(interval["level"] == 0.95);
  CHECK(interval["low"] < result["latency"]["ttft_s"]["p99"]);
  CHECK(interval["high"] > result["latency"]["ttft_s"]["p99"]);
}

TEST_CASE("a model that does not fit is a result: exit 0, and how much is missing") {
  // 46.7 billion weights in bf16 on one GPU of 80 GiB
  const Program program;
  const json scenario = with(with(small_scenario(), "/cluster/gpus", "1"), "/deployment/parallel/tensor", "1");
  const Outcome outcome = program.run({"simulate", program.write("s.json", scenario.dump()), "--json", "r.json", "--requests", "r.csv"});
  CHECK(outcome.exit_code == 0);
  CHECK(contains(outcome.out, "DOES NOT FIT"));
  const json result = json::parse(program.read("r.json"));
  CHECK(result["memory"]["fits"] == false);
  CHECK(result["memory"]["missing_bytes"] > 7'000'000'000);
  CHECK(result["latency"].is_null());
  CHECK(result["throughput"].is_null());
  CHECK(result["requests"]["arrived"] == 0);
  CHECK(result["objectives"].size() == 2);
  const std::string csv = program.read("r.csv");
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 1);  // the header: no request was finished
}

TEST_CASE("a run that fails writes nothing and keeps what was there") {
  const Program program;
  program.write("r.json", "old");
  const std::string bad = program.write("bad.json", with(small_scenario(), "/workload/warmup_requests", "40").dump());
  CHECK(program.run({"simulate", bad, "--json", "r.json", "--requests", "r.csv"}).exit_code == 2);
  CHECK(program.read("r.json") == "old");
  CHECK(program.files() == std::vector<std::string>{"bad.json", "r.json"});
}

TEST_CASE("a target that cannot be written is refused before the run") {
  const Program program;
  for (const char* option : {"--json", "--requests"}) {
    const Outcome outcome = simulate(program, {option, "no/such/folder/r"});
    CHECK(outcome.exit_code == 2);
    CHECK(outcome.out == "");
    CHECK(contains(outcome.err, "no/such/folder/r: cannot be written"));
  }
  CHECK(program.files() == std::vector<std::string>{"s.json"});
}

TEST_CASE("a named workload stands for its file") {
  const Program program;
  json scenario = small_scenario();
  scenario["workload"] = "chat-lognormal";
  const std::string by_id = program.run({"memory", program.write("s.json", scenario.dump()), "--json", "-"}).out;
  scenario["workload"] = "workload.json";
  program.write("workload.json", R"({"arrivals": {"process": "batch"}, "prompt_tokens": {"distribution": "fixed", "value": 10},
                                     "output_tokens": {"distribution": "fixed", "value": 10}, "requests": 3})");
  const Outcome by_path = program.run({"simulate", program.write("s.json", scenario.dump()), "--json", "-"});
  CHECK(json::parse(by_id)["scenario"]["workload"]["requests"] == 10000);
  CHECK(json::parse(by_path.out)["requests"]["completed"] == 3);
}
