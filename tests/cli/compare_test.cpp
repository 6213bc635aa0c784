// `moeplan compare` and `simulate --load-curve` from the outside.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "support/shipped_scenarios.hpp"

using namespace moeplan::test;
using nlohmann::json;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// With an objective so far off that no run is lengthened to judge it.
json easy_scenario() { return with(small_scenario(), "/objectives", R"({"tpot_p99": "9 s"})"); }

std::string base(const Program& program) { return program.write("a.json", easy_scenario().dump()); }

std::string quantised(const Program& program) {
  return program.write("b.json",
                       with(with(easy_scenario(), "/name", R"("Mixtral in fp8")"), "/deployment/precision/experts", R"("fp8")").dump());
}

void check_refusal(const Outcome& outcome, const std::vector<std::string>& parts) {
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.out == "");
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  for (const std::string& part : parts) {
    CAPTURE(part);
    CHECK(contains(outcome.err, part));
  }
}

}  // namespace

TEST_CASE("two scenarios give a table, what differs, what it does, and a verdict") {
  const Program program;
  const Outcome outcome = program.run({"compare", base(program), quantised(program), "--json", "c.json"});
  CHECK(outcome.exit_code == 0);
  CHECK(outcome.err == "");
  for (const char* part :
       {"Mixtral in fp8", "VRAM for weights, GB", "saturated: requests/s", "TPOT in ms against batch", "TPOT in ms against context",
        "TPOT in ms against routing skew", "/deployment/precision/experts: bf16 | fp8", "what each change does alone", "verdict\n"}) {
    CAPTURE(part);
    CHECK(contains(outcome.out, part));
  }
  const json comparison = json::parse(program.read("c.json"))["comparison"];
  CHECK(comparison["scenarios"].size() == 2);
  CHECK(comparison["scenarios"][1]["weights_bytes"] < comparison["scenarios"][0]["weights_bytes"]);
  CHECK(comparison["load_curves"][0].size() > 10);
  CHECK(contains(outcome.out, comparison["verdict"]["text"].get<std::string>()));
}

TEST_CASE("the same comparison is the same bytes, and a seed changes it") {
  const Program program;
  const std::vector<std::string> arguments = {"compare", base(program), quantised(program), "--json", "-"};
  const std::string first = program.run(arguments).out;
  CHECK(first == program.run(arguments).out);
  std::vector<std::string> seeded = arguments;
  seeded.insert(seeded.end(), {"--seed", "9"});
  CHECK(first != program.run(seeded).out);
}

TEST_CASE("a stored result is compared with the scenario that it came from") {
  const Program program;
  CHECK(program.run({"simulate", base(program), "--json", "old.json"}).exit_code == 0);
  const Outcome same = program.run({"compare", "old.json", "a.json"});
  CHECK(same.exit_code == 0);
  CHECK(contains(same.out, "no input differs"));
  CHECK(contains(same.out, "(old.json)"));
  const Outcome changed = program.run({"compare", "old.json", quantised(program)});
  CHECK(contains(changed.out, "  precision "));
}

TEST_CASE("a comparison is a stored result itself") {
  const Program program;
  CHECK(program.run({"compare", base(program), quantised(program), "--json", "c.json"}).exit_code == 0);
  CHECK(program.run({"compare", "c.json", "b.json"}).exit_code == 0);
}

TEST_CASE("what cannot be compared is refused in one line") {
  const Program program;
  const std::string a = base(program);
  check_refusal(program.run({"compare", a}), {"two scenarios or stored results"});
  check_refusal(program.run({"compare", a, "none.json"}), {"none.json"});
  check_refusal(program.run({"compare", a, program.write("v.json", R"({"schema": "moeplan validation 1"})")}),
                {"v.json: /schema", "moeplan result 1"});
  check_refusal(program.run({"compare", a, program.write("r.json", R"({"schema": "moeplan result 1"})")}), {"r.json", "\"scenario\""});
  check_refusal(program.run({"compare", a, program.write("w.json", with(small_scenario(), "/model", R"("mixtral-8x7c")").dump())}),
                {"/model: unknown model", "'mixtral-8x7b'"});
  check_refusal(program.run({"compare", a, program.write("q.json", with(small_scenario(), "/quality", "-1").dump())}), {"/quality"});
  check_refusal(program.run({"compare", a, a, "--old-data", "."}), {"--old-data", "stored result"});
  check_refusal(program.run({"compare", a, a, "--json", "no/such/c.json"}), {"cannot be written"});
}

TEST_CASE("simulate draws a load curve when asked") {
  const Program program;
  const Outcome outcome = program.run({"simulate", base(program), "--load-curve", "--json", "r.json"});
  CHECK(outcome.exit_code == 0);
  CHECK(contains(outcome.out, "load curve\n"));
  CHECK(contains(outcome.out, "knee at"));
  const json result = json::parse(program.read("r.json"));
  CHECK(result["load_curve"].size() > 10);
  CHECK(result["knee"]["capacity_per_s"] <= result["knee"]["saturation_requests_per_s"]);
  CHECK_FALSE(json::parse(program.run({"simulate", "a.json", "--json", "-"}).out).contains("load_curve"));
}
