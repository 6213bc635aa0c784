// The commands beside `simulate`, help and versions, from the outside.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "support/shipped_scenarios.hpp"

using namespace moeplan::test;
using nlohmann::json;

namespace {
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
const std::vector<std::string> kCommands = {"simulate", "memory", "compare", "validate", "calibrate", "catalog"};
const std::string kRunsHeader =
    "id,suite,model,gpu,gpus,engine,engine_version,tp,ep,pp,dp,weights,kv_cache,mode,concurrency,request_rate_per_s,isl,osl,"
    "length_low,ttft_ms,tpot_ms,itl_ms,output_tok_s,quality,source,notes\n";

}  // namespace

TEST_CASE("help lists every command, and every command explains itself") {
  const Program program;
  const Outcome help = program.run({"--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.err == "");
  for (const std::string& command : kCommands) {
    CAPTURE(command);
    CHECK(contains(help.out, "\n  " + command));
    const Outcome own = program.run({command, "--help"});
    CHECK(own.exit_code == 0);
    CHECK(own.err == "");
    CHECK(own.out.starts_with("usage: moeplan " + command));
    CHECK(program.run({"help", command}).out == own.out);
  }
}

TEST_CASE("no command at all prints the help on stderr and fails") {
  const Program program;
  const Outcome outcome = program.run({});
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.out == "");
  CHECK(contains(outcome.err, "usage: moeplan COMMAND"));
}

TEST_CASE("the version is one line") {
  const Program program;
  const Outcome outcome = program.run({"--version"});
  CHECK(outcome.exit_code == 0);
  CHECK(outcome.out.starts_with("moeplan "));
  CHECK(std::count(outcome.out.begin(), outcome.out.end(), '\n') == 1);
}

TEST_CASE("8x7B has 46.7 billion parameters, 12.9 billion of them active") {
  const Program program;
  const Outcome outcome = program.run({"memory", program.write("s.json", small_scenario().dump()), "--json", "r.json"});
  CHECK(outcome.exit_code == 0);
  CHECK(contains(outcome.out, "46.7B parameters, 12.9B active"));
  CHECK(contains(outcome.out, "tokens of KV cache"));
  const json memory = json::parse(program.read("r.json"))["memory"];
  CHECK(memory["parameters"]["total"] == 46'702'792'704);
  CHECK(memory["parameters"]["active"] == 12'879'925'248);
}

TEST_CASE("every catalogue lists its entries and shows one with its sources") {
  const Program program;
  const std::vector<std::array<std::string, 3>> catalogues = {{"models", "mixtral-8x7b", "46.7B"},
                                                              {"gpus", "h100-sxm", "hgx-h100"},
                                                              {"nodes", "hgx-h100", "h100-sxm"},
                                                              {"engines", "vllm", "mixed"},
                                                              {"workloads", "azure-conversation", "mean 1155"}};
  for (const auto& [kind, id, part] : catalogues) {
    CAPTURE(kind);
    const Outcome list = program.run({"catalog", kind});
    CHECK(list.exit_code == 0);
    CHECK(contains(list.out, "\n  " + id));
    const Outcome one = program.run({"catalog", kind, id});
    CHECK(one.exit_code == 0);
    CHECK(contains(one.out, part));
    CHECK(contains(one.out, "\"source"));
    const Outcome wrong = program.run({"catalog", kind, id + "x"});
    CHECK(wrong.exit_code == 2);
    CHECK(contains(wrong.err, "'" + id + "'"));
  }
  CHECK(contains(program.run({"catalog", "models"}).out, "refused: an encoder-decoder"));
}

TEST_CASE("the catalogues can be named") {
  const Program program;
  CHECK(program.run({"catalog", "gpus", "--data", MOEPLAN_SOURCE_DIR}).exit_code == 0);
  const Outcome wrong = program.run({"catalog", "gpus", "--data", "."});
  CHECK(wrong.exit_code == 2);
  CHECK(contains(wrong.err, "hardware_profiles/gpus"));
}

TEST_CASE("a full disk under stdout is an error, not silence") {
  const Program program;
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--help"}, {"catalog", "models", "mixtral-8x7b"}, {"catalog", "gpus"}}) {
    const Outcome outcome = program.run_into("/dev/full", words);
    CHECK(outcome.exit_code == 2);
    CHECK(contains(outcome.err, "standard output"));
  }
}

TEST_CASE("a GPU that nobody measured is calibrated from its relatives, as committed; a wrong path to a measured one is refused") {
  const Program program;
  const Outcome outcome = program.run({"calibrate", "nowhere", "--gpu", "mi325x", "-o", "p.json"});
  CHECK(outcome.exit_code == 0);
  CHECK(contains(outcome.out, "mi325x has no measured tables"));
  CHECK(contains(outcome.out, "transferred from mi300x"));
  CHECK(program.read("p.json") == slurp(std::filesystem::path(MOEPLAN_SOURCE_DIR) / "hardware_profiles/fitted/mi325x.json"));
  const Outcome wrong = program.run({"calibrate", "nowhere", "--gpu", "h100-sxm", "-o", "q.json"});
  CHECK(wrong.exit_code == 2);
  CHECK(contains(wrong.err, "nowhere: is no folder of measured tables; those of 'h100-sxm' lie in hardware_profiles/measured/h100-sxm"));
  CHECK(program.files() == std::vector<std::string>{"p.json"});
  const Outcome nothing = program.run({"calibrate", "nowhere", "--gpu", "mi325x", "--leave-out"});
  CHECK(nothing.exit_code == 2);
  CHECK(contains(nothing.err, "--leave-out: 'mi325x' has no measured tables to compare with"));
  const Outcome left_out = program.run({"calibrate", std::string(MOEPLAN_SOURCE_DIR) + "/hardware_profiles/measured/mi300x", "--gpu", "mi300x", "--leave-out"});
  CHECK(left_out.exit_code == 0);
  CHECK(contains(left_out.out, "mi300x left out: error in % on its own rows if nobody had measured it"));
}

TEST_CASE("samples of what is uncertain give intervals, and are refused in numbers that say nothing") {
  const Program program;
  const std::string scenario = program.write("s.json", small_scenario().dump());
  const Outcome outcome = program.run({"simulate", scenario, "--uncertainty", "8", "--json", "r.json"});
  CHECK(outcome.exit_code == 0);
  CHECK(contains(outcome.out, "uncertainty: 8 samples, the middle 80 % of them"));
  const json result = json::parse(program.read("r.json"));
  CHECK(result["intervals"]["tpot.p99"]["low"] < result["intervals"]["tpot.p99"]["high"]);
  CHECK(result["uncertainty"]["samples"] == 8);
  CHECK(program.run({"simulate", scenario, "--uncertainty", "2"}).exit_code == 2);
}

TEST_CASE("anchors of a file that contradict each other are refused by name") {
  const Program program;
  const auto row = [](const std::string& id, int clients, const std::string& tpot) {
    return fmt::format("{},t,llama-3.1-8b,h100-sxm,1,vllm,,1,1,1,1,bf16,,closed,{},,64,16,0.8,,{},,,A,,\n", id, clients, tpot);
  };
  const std::string runs = program.write("runs.csv", kRunsHeader + row("a", 2, "9") + row("b", 4, "9.5"));
  const std::string anchors = program.write("anchors.csv", kRunsHeader + row("mine", 2, "8") + row("other", 2, "16"));
  const Outcome outcome = program.run({"validate", runs, "--anchors", anchors, "--json", "v.json"});
  CHECK(outcome.exit_code == 2);
  CHECK(contains(outcome.err, "anchors.csv: anchors 'mine' and 'other' contradict each other"));
  CHECK(program.files() == std::vector<std::string>{"anchors.csv", "runs.csv"});
}

TEST_CASE("groups left out and anchors exclude each other") {
  const Program program;
  const std::string runs = program.write("runs.csv", kRunsHeader +
                                                     "a,t,llama-3.1-8b,h100-sxm,1,vllm,,1,1,1,1,bf16,,closed,2,,64,16,0.8,,9,,,A,,\n");
  const Outcome outcome = program.run({"validate", runs, "--leave-out", "--anchors", "2"});
  CHECK(outcome.exit_code == 2);
  CHECK(contains(outcome.err, "--leave-out"));
  CHECK(program.run({"validate", runs, "--leave-out", "--scatter"}).exit_code == 0);
}
