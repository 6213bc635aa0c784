#include "cli/command.hpp"
#include "study/validation.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;

int run_validate(const Arguments& arguments) {
  const std::string usage = "moeplan validate RUNS.csv [options]";
  po::options_description options("Options");
  options.add_options()("anchors", po::value<std::int64_t>()->value_name("N")->default_value(0),
                        "fit host time and kernel speed on N rows of each layout and score the others")(
      "json", po::value<std::string>()->value_name("FILE"), "write the result as JSON (- for stdout, instead of the summary)")(
      "seed", po::value<std::int64_t>()->value_name("N")->default_value(1), "random seed")(
      "jobs", po::value<std::int64_t>()->value_name("N")->default_value(0), "threads; 0 = all");
  options.add(common_options());
  const ParsedOptions parsed = parse_options(usage, options, "runs", 1, arguments);
  if (parsed.done) return 0;

  const DataRoot data = data_root(parsed);
  std::vector<MeasuredRun> runs = read_measured_runs(parsed.values["runs"].as<std::vector<std::string>>().at(0));
  ValidationOptions validation_options;
  validation_options.seed = static_cast<std::uint64_t>(whole_number(parsed, "seed", 0, kMaxSeed));
  validation_options.jobs = static_cast<int>(whole_number(parsed, "jobs", 0, kMaxJobs));
  validation_options.anchors = static_cast<int>(whole_number(parsed, "anchors", 0, 1'000'000));
  JsonOutput json(parsed.text("json"));
  const Validation validation = [&] {
    Progress progress("validating");
    validation_options.progress = [&progress](double share) { progress.update(share); };
    return validate_runs(std::move(runs), data, validation_options);
  }();

  if (json.wanted()) json.write(validation_json(validation));
  if (!json.to_stdout()) print_text(validation_summary(validation));
  return 0;
}

}  // namespace moeplan::cli
