#include <cstdio>
#include <utility>

#include "cli/command.hpp"
#include "cli/page_output.hpp"
#include "study/anchor_study.hpp"
#include "study/error_model.hpp"
#include "study/result.hpp"
#include "study/scenario.hpp"
#include "study/simulation.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;

namespace {

/// Where the requests and the timelines of further deployments are.
void tell_other_files(const Scenario& scenario, const RunOptions& options) {
  for (const auto& [option, file] : {std::pair("--requests", options.requests_file), std::pair("--trace", options.trace_file)}) {
    for (std::size_t i = 0; !file.empty() && i < scenario.others.size(); ++i) {
      const std::filesystem::path other = file_of_deployment(file, scenario, i);
      const std::string where = other.empty() ? "are not written: " + file.string() + " takes one deployment's" : "are in " + other.string();
      std::fputs(("moeplan: " + std::string(option) + ": those of '" + scenario.others[i].name + "' " + where + "\n").c_str(), stderr);
    }
  }
}

}  // namespace

int run_simulate(const Arguments& arguments) {
  const std::string usage = "moeplan simulate SCENARIO.json [options]";
  po::options_description options("Options");
  options.add_options()("seed", po::value<std::int64_t>()->value_name("N"), "random seed, in place of the scenario's")(
      "replications", po::value<std::int64_t>()->value_name("N")->default_value(1), "runs with different seeds; gives 95 % intervals")(
      "json", po::value<std::string>()->value_name("FILE"), "write the result as JSON (- for stdout, instead of the summary)")(
      "requests", po::value<std::string>()->value_name("FILE.csv"), "write one line per finished request")(
      "trace", po::value<std::string>()->value_name("FILE.json"), "write a timeline of steps, requests, transfers and evictions for Perfetto")(
      "trace-limit", po::value<std::int64_t>()->value_name("N")->default_value(static_cast<std::int64_t>(kTraceLimit)), "steps and requests kept in it")(
      "scale", po::value<double>()->value_name("FACTOR"), "so many times the requests in the same time: a measured day projected to next year")(
      "anchors", po::value<std::string>()->value_name("RUNS.csv"), "measured points of this deployment that correct host time and kernel speed")(
      "load-curve", "throughput and latency against offered load, with saturation and knee; --html has it always")(
      "exact-routing", "sample every layer of every step instead of tabulated steps (slow)")(
      "uncertainty", po::value<std::int64_t>()->value_name("N"), "intervals from N samples of the prediction's errors and of the scenario's ranges")(
      "jobs", po::value<std::int64_t>()->value_name("N")->default_value(0), "threads for replications and samples; 0 = all");
  add_page_option(options);
  options.add(common_options());
  const ParsedOptions parsed = parse_options(usage, options, "scenario", 1, arguments);
  if (parsed.done) return 0;

  const DataRoot data = data_root(parsed);
  Scenario scenario = load_scenario(parsed.values["scenario"].as<std::vector<std::string>>().at(0), data);
  if (parsed.has("seed")) scenario.seed = static_cast<std::uint64_t>(whole_number(parsed, "seed", 0, kMaxSeed));
  if (parsed.has("scale")) scale_workload(scenario.workload, parsed.values["scale"].as<double>(), "--scale");
  std::optional<AnchorFit> anchors;
  if (parsed.has("anchors")) anchors = anchor_scenario(scenario, parsed.text("anchors"), data);
  RunOptions run_options;
  run_options.replications = static_cast<int>(whole_number(parsed, "replications", 1, 10'000));
  run_options.requests_file = parsed.text("requests");
  run_options.trace_file = parsed.text("trace");
  run_options.trace_limit = static_cast<std::uint64_t>(whole_number(parsed, "trace-limit", 1, 100'000'000));
  run_options.exact_routing = parsed.has("exact-routing");
  if (run_options.exact_routing && scenario.deployment.offload) throw InputError("--exact-routing", "fetches of offloaded experts are drawn from tables only: leave it or deployment.offload out");
  run_options.jobs = static_cast<int>(whole_number(parsed, "jobs", 0, kMaxJobs));
  JsonOutput json(parsed.text("json"));
  PageOutput page(parsed);
  Result result = [&] {
    Progress progress("simulating");
    run_options.progress = [&progress](double share) { progress.update(share); };
    if (!parsed.has("uncertainty") && !scenario.uncertainty) return run_scenario(scenario, run_options);
    const int samples = parsed.has("uncertainty") ? static_cast<int>(whole_number(parsed, "uncertainty", 8, 10'000)) : 0;
    return run_with_uncertainty(scenario, load_error_model(data.error_model()), run_options, samples);
  }();

  if ((parsed.has("load-curve") || page.wanted()) && result.memory.plan.fits) {
    result.load_curve = load_curve(scenario, Deployment(scenario.deployment));
    if (result.cost && result.load_curve->capacity_per_s > 0) know_largest_load({result.load_curve->capacity_per_s}, *result.cost);
  }
  result.anchors = std::move(anchors);
  if (json.wanted() || page.wanted()) {
    const std::string text = result_json(scenario, result, data);
    if (json.wanted()) json.write(text);
    if (page.wanted()) page.write(text);
  }
  tell_other_files(scenario, run_options);
  if (!json.to_stdout()) print_text(result_summary(scenario, result));
  return 0;
}

}  // namespace moeplan::cli
