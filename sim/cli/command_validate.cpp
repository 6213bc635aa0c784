#include <fmt/core.h>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "study/validation.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;

int run_validate(const Arguments& arguments) {
  const std::string usage = "moeplan validate RUNS.csv [options]";
  po::options_description options("Options");
  options.add_options()("anchors", po::value<int>()->value_name("N")->default_value(0),
                        "fit host time and kernel speed on N rows of each layout and score the others")(
      "json", po::value<std::string>()->value_name("FILE"), "write the result as JSON (- for stdout, instead of the summary)")(
      "seed", po::value<std::uint64_t>()->value_name("N")->default_value(1), "random seed")(
      "jobs", po::value<int>()->value_name("N")->default_value(0), "threads; 0 = all");
  options.add(common_options());
  const ParsedOptions parsed = parse_options(usage, options, "runs", 1, arguments);
  if (parsed.done) return 0;

  const DataRoot data = data_root(parsed);
  std::vector<MeasuredRun> runs = read_measured_runs(parsed.values["runs"].as<std::vector<std::string>>().at(0));
  ValidationOptions validation_options;
  validation_options.seed = parsed.values["seed"].as<std::uint64_t>();
  validation_options.jobs = parsed.values["jobs"].as<int>();
  validation_options.anchors = parsed.values["anchors"].as<int>();
  if (validation_options.anchors < 0) throw InputError("--anchors", "must not be negative");
  Progress progress("validating");
  validation_options.progress = [&progress](double share) { progress.update(share); };
  const Validation validation = validate_runs(std::move(runs), data, validation_options);

  const std::string json_file = parsed.text("json");
  if (!json_file.empty()) write_output(json_file, validation_json(validation));
  if (json_file != "-") fmt::print("{}", validation_summary(validation));
  return 0;
}

}  // namespace moeplan::cli
