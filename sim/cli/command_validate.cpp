#include <charconv>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/page_output.hpp"
#include "study/log_validation.hpp"
#include "study/validation.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;

namespace {

constexpr int kMostAnchors = 1000;

/// A number of rows per layout, or a file of measured runs.
void read_anchors(const std::string& text, ValidationOptions& options) {
  if (text.empty()) return;
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (end != text.data() + text.size()) {
    options.anchor_runs = read_measured_runs(text);
  } else if (error != std::errc() || count < 0 || count > kMostAnchors) {
    throw InputError("--anchors", "accepted: 0 to " + std::to_string(kMostAnchors) + " rows per layout, or a file of measured runs; found '" + text + "'");
  } else {
    options.anchors = count;
  }
}

/// The second kind of validation: every request of a log on the deployment of a scenario.
int replay_log(const std::string& file, const ParsedOptions& parsed, const DataRoot& data) {
  if (!parsed.has("scenario")) throw InputError(file, "is a request log; name the deployment to replay it on: --scenario SCENARIO.json");
  if (parsed.has("anchors")) throw InputError("--anchors", "goes with a table of measured runs; '" + file + "' is a request log");
  Scenario scenario = load_scenario(parsed.text("scenario"), data);
  if (!parsed.values["seed"].defaulted()) scenario.seed = static_cast<std::uint64_t>(whole_number(parsed, "seed", 0, kMaxSeed));
  JsonOutput json(parsed.text("json"));
  PageOutput page(parsed);
  const LogValidation validation = validate_log(file, scenario);
  if (json.wanted()) json.write(log_validation_json(validation));
  if (page.wanted()) page.write(log_validation_json(validation));
  if (!json.to_stdout()) print_text(log_validation_summary(validation));
  return 0;
}

}  // namespace

int run_validate(const Arguments& arguments) {
  const std::string usage = "moeplan validate RUNS.csv|LOG.csv [options]";
  po::options_description options("Options");
  options.add_options()("anchors", po::value<std::string>()->value_name("N|FILE"),
                        "fit host time and kernel speed on N rows of each layout and score the others, or on the rows of FILE")(
      "scenario", po::value<std::string>()->value_name("FILE"), "the deployment on which a request log (LOG.csv) is replayed")(
      "leave-out", "also fit the engine constants without each (model, GPU) in turn and score its runs with them")(
      "scatter", "plot predicted over measured")(
      "json", po::value<std::string>()->value_name("FILE"), "write the result as JSON (- for stdout, instead of the summary)")(
      "seed", po::value<std::int64_t>()->value_name("N")->default_value(1), "random seed")(
      "jobs", po::value<std::int64_t>()->value_name("N")->default_value(0), "threads; 0 = all");
  add_page_option(options);
  options.add(common_options());
  const ParsedOptions parsed = parse_options(usage, options, "runs", 1, arguments);
  if (parsed.done) return 0;

  const DataRoot data = data_root(parsed);
  const std::string file = parsed.values["runs"].as<std::vector<std::string>>().at(0);
  if (is_request_log(file)) return replay_log(file, parsed, data);
  if (parsed.has("scenario")) throw InputError("--scenario", "goes with a request log; '" + file + "' is a table of measured runs");
  std::vector<MeasuredRun> runs = read_measured_runs(file);
  ValidationOptions validation_options;
  validation_options.seed = static_cast<std::uint64_t>(whole_number(parsed, "seed", 0, kMaxSeed));
  validation_options.jobs = static_cast<int>(whole_number(parsed, "jobs", 0, kMaxJobs));
  read_anchors(parsed.text("anchors"), validation_options);
  validation_options.leave_out = parsed.has("leave-out");
  if (validation_options.leave_out && parsed.has("anchors")) throw InputError("--leave-out", "does not go with --anchors: anchors are runs of the very deployment");
  validation_options.errors = load_error_model(data.error_model());
  JsonOutput json(parsed.text("json"));
  PageOutput page(parsed);
  const Validation validation = [&] {
    Progress progress("validating");
    validation_options.progress = [&progress](double share) { progress.update(share); };
    return validate_runs(std::move(runs), data, validation_options);
  }();

  if (!validation_options.anchor_runs.empty()) {
    for (const AnchorFit& fit : validation.anchor_fits) {
      if (!fit.contradictions.empty()) throw InputError(parsed.text("anchors"), fit.contradictions.front());
    }
  }
  if (json.wanted() || page.wanted()) {
    const std::string text = validation_json(validation);
    if (json.wanted()) json.write(text);
    if (page.wanted()) page.write(text);
  }
  if (!json.to_stdout()) print_text(validation_summary(validation) + (parsed.has("scatter") ? validation_scatter(validation) : ""));
  return 0;
}

}  // namespace moeplan::cli
