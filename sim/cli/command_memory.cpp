#include "cli/command.hpp"
#include "study/result.hpp"
#include "study/scenario.hpp"
#include "study/simulation.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;

int run_memory(const Arguments& arguments) {
  const std::string usage = "moeplan memory SCENARIO.json [options]";
  po::options_description options("Options");
  options.add_options()("json", po::value<std::string>()->value_name("FILE"),
                        "write the result as JSON (- for stdout, instead of the summary)");
  options.add(common_options());
  const ParsedOptions parsed = parse_options(usage, options, "scenario", 1, arguments);
  if (parsed.done) return 0;

  const DataRoot data = data_root(parsed);
  JsonOutput json(parsed.text("json"));
  const Scenario scenario = load_scenario(parsed.values["scenario"].as<std::vector<std::string>>().at(0), data);
  const Result result = memory_only(scenario);
  if (json.wanted()) json.write(result_json(scenario, result, data));
  if (!json.to_stdout()) print_text(memory_summary(scenario, result));
  return 0;
}

}  // namespace moeplan::cli
