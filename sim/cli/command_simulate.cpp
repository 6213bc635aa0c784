#include <fmt/core.h>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "study/result.hpp"
#include "study/scenario.hpp"
#include "study/simulation.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;

int run_simulate(const Arguments& arguments) {
  const std::string usage = "moeplan simulate SCENARIO.json [options]";
  po::options_description options("Options");
  options.add_options()("seed", po::value<std::uint64_t>()->value_name("N"), "random seed, in place of the scenario's")(
      "replications", po::value<int>()->value_name("N")->default_value(1), "runs with different seeds; gives 95 % intervals")(
      "json", po::value<std::string>()->value_name("FILE"), "write the result as JSON (- for stdout, instead of the summary)")(
      "requests", po::value<std::string>()->value_name("FILE.csv"), "write one line per finished request")(
      "exact-routing", "sample every layer of every step instead of tabulated steps (slow)")(
      "jobs", po::value<int>()->value_name("N")->default_value(0), "threads for replications; 0 = all");
  options.add(common_options());
  const ParsedOptions parsed = parse_options(usage, options, "scenario", 1, arguments);
  if (parsed.done) return 0;

  const DataRoot data = data_root(parsed);
  Scenario scenario = load_scenario(parsed.values["scenario"].as<std::vector<std::string>>().at(0), data);
  if (parsed.has("seed")) scenario.seed = parsed.values["seed"].as<std::uint64_t>();
  RunOptions run_options;
  run_options.replications = parsed.values["replications"].as<int>();
  if (run_options.replications < 1 || run_options.replications > 10'000) throw InputError("--replications", "must lie between 1 and 10000");
  run_options.requests_file = parsed.text("requests");
  run_options.exact_routing = parsed.has("exact-routing");
  run_options.jobs = parsed.values["jobs"].as<int>();
  Progress progress("simulating");
  run_options.progress = [&progress](double share) { progress.update(share); };
  const Result result = run_scenario(scenario, run_options);

  const std::string json_file = parsed.text("json");
  if (!json_file.empty()) write_output(json_file, result_json(scenario, result, data));
  if (json_file != "-") fmt::print("{}", result_summary(scenario, result));
  return 0;
}

}  // namespace moeplan::cli
