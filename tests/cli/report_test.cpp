// The page and the timeline from the outside; what the page shows is tested in a browser.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "support/shipped_scenarios.hpp"

using namespace moeplan::test;
using nlohmann::json;

namespace {

constexpr const char* kDataBegins = R"(<script type="application/json" id="data">)";

/// What stands in the page between the data's script tags.
std::string data_of(const std::string& page) {
  const auto begin = page.find(kDataBegins) + std::string(kDataBegins).size();
  return page.substr(begin, page.find("</script>", begin) - begin);
}

std::string scenario_named(const std::string& name) {
  json scenario = small_scenario();
  scenario["name"] = name;
  return scenario.dump();
}

/// One line on stderr, exit 2, and nothing but `files` left.
void check_refused(const Program& program, const std::vector<std::string>& arguments, const std::string& complaint, const std::vector<std::string>& files) {
  CAPTURE(complaint);
  const Outcome outcome = program.run(arguments);
  CHECK(outcome.exit_code == 2);
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  CHECK(outcome.err.find(complaint) != std::string::npos);
  CHECK(program.files() == files);
}

}  // namespace

TEST_CASE("a page holds its result, whatever stands in it, and is as long as promised") {
  const Program program;
  const std::string name = "a </script><script>alert(1)</script> <!-- \xe2\x80\xa8 b";
  const Outcome outcome = program.run({"simulate", program.write("s.json", scenario_named(name)), "--json", "r.json", "--html", "r.html"});
  CHECK(outcome.exit_code == 0);
  CHECK(outcome.err == "");
  CHECK(program.files() == std::vector<std::string>{"r.html", "r.json", "s.json"});
  const std::string page = program.read("r.html");
  const std::string data = data_of(page);
  CHECK(data.find('<') == std::string::npos);
  CHECK(data.find("\xe2\x80\xa8") == std::string::npos);
  CHECK(json::parse(data) == json::parse(program.read("r.json")));
  CHECK(json::parse(data)["scenario"]["name"] == name);
  CHECK(page.size() - data.size() < 1'500'000);
}

TEST_CASE("a stored result gives the page of its run") {
  const Program program;
  CHECK(program.run({"simulate", program.write("s.json", scenario_named("s")), "--json", "r.json", "--html", "run.html"}).exit_code == 0);
  CHECK(program.run({"report", "r.json", "--html", "stored.html"}).exit_code == 0);
  CHECK(program.read("stored.html") == program.read("run.html"));
}

TEST_CASE("a page and a result into the same file are refused before the work") {
  const Program program;
  const Outcome outcome = program.run({"simulate", program.write("s.json", scenario_named("s")), "--json", "out", "--html", "out"});
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.err.find("--html: names the file of --json, 'out'") != std::string::npos);
  CHECK(program.files() == std::vector<std::string>{"s.json"});
}

TEST_CASE("what is no result gets one line and no page") {
  const Program program;
  program.write("s.json", small_scenario().dump());
  program.write("broken.json", "{");
  const std::vector<std::string> files = {"broken.json", "s.json"};
  check_refused(program, {"report", "s.json", "--html", "p.html"}, "s.json: is no result of moeplan", files);
  check_refused(program, {"report", "broken.json", "--html", "p.html"}, "broken.json", files);
  check_refused(program, {"report", "missing.json", "--html", "p.html"}, "missing.json", files);
  check_refused(program, {"report", "s.json"}, "missing --html FILE", files);
  check_refused(program, {"simulate", "s.json", "--html", "-"}, "--html: names a file", files);
  check_refused(program, {"simulate", "s.json", "--html", "no/folder.html"}, "no/folder.html", files);
  check_refused(program, {"simulate", "s.json", "--trace", "no/folder.json"}, "no/folder.json", files);
  check_refused(program, {"simulate", "s.json", "--trace", "t.json", "--trace-limit", "0"}, "--trace-limit: found 0", files);
}

TEST_CASE("a stored result with a value of the wrong type is refused where it stands") {
  const Program program;
  CHECK(program.run({"simulate", program.write("s.json", scenario_named("s")), "--json", "r.json"}).exit_code == 0);
  const json result = json::parse(program.read("r.json"));
  const std::vector<std::string> files = {"r.json", "s.json"};
  const auto refused = [&](const char* pointer, const json& value, const std::string& complaint) {
    json changed = result;
    changed[json::json_pointer(pointer)] = value;
    program.write("r.json", changed.dump());
    check_refused(program, {"report", "r.json", "--html", "p.html"}, complaint, files);
  };
  refused("/latency/ttft_s/p99", "fast", "r.json: /latency/ttft_s/p99: found 'fast', accepted: a number");
  refused("/memory/fits", 1, "r.json: /memory/fits: found 1, accepted: a boolean");
  refused("/warnings", "none", "r.json: /warnings: found 'none', accepted: an array");
  refused("/plan", json{{"best", 3}}, "r.json: /plan");
  program.write("r.json", R"({"runs": 1, "metrics": {"tpot": {"median_ape": "small"}}, "rows": []})");
  check_refused(program, {"report", "r.json", "--html", "p.html"}, "r.json: /metrics/tpot/median_ape: found 'small'", files);
  // what another version has left out or added is no reason
  json other = result;
  other.erase("checklist");
  other["more"] = 1;
  program.write("r.json", other.dump());
  CHECK(program.run({"report", "r.json", "--html", "p.html"}).exit_code == 0);
}

TEST_CASE("the timeline holds every request and step of a small run, and changes nothing") {
  const Program program;
  program.write("s.json", small_scenario().dump());
  const Outcome outcome = program.run({"simulate", "s.json", "--json", "with.json", "--trace", "t.json"});
  CHECK(outcome.exit_code == 0);
  CHECK(program.run({"simulate", "s.json", "--json", "without.json"}).exit_code == 0);
  CHECK(program.read("with.json") == program.read("without.json"));
  const json trace = json::parse(program.read("t.json"));
  const json result = json::parse(program.read("with.json"));
  std::uint64_t steps = 0;
  std::uint64_t requests = 0;
  for (const json& event : trace["traceEvents"]) {
    steps += event["ph"] == "X" && event["tid"] == 1 ? 1U : 0U;
    requests += event["ph"] == "b" && event["name"] == "queued" ? 1U : 0U;
  }
  const auto of_kind = [&](const char* kind) { return result["step_time"][kind]["steps"].get<std::uint64_t>(); };
  CHECK(steps == of_kind("decode") + of_kind("prefill"));
  CHECK(requests == result["requests"]["completed"].get<std::uint64_t>());
}
