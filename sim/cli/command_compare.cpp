#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/page_output.hpp"
#include "study/compare_input.hpp"
#include "study/comparison.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;

namespace {
constexpr int kMostInputs = 16;
}

int run_compare(const Arguments& arguments) {
  const std::string usage = "moeplan compare A.json B.json [...] [options]";
  po::options_description options("Options");
  options.add_options()("seed", po::value<std::int64_t>()->value_name("N"), "random seed of every run, in place of the first scenario's")(
      "json", po::value<std::string>()->value_name("FILE"), "write the comparison as JSON (- for stdout, instead of the summary)")(
      "old-data", po::value<std::string>()->value_name("DIR"),
      "catalogues that the first input, a stored result, was made with: tells the effects of changed files apart");
  add_page_option(options);
  options.add(common_options());
  const ParsedOptions parsed = parse_options(usage, options, "input", kMostInputs, arguments);
  if (parsed.done) return 0;

  const DataRoot data = data_root(parsed);
  const auto& files = parsed.values["input"].as<std::vector<std::string>>();
  if (files.size() < 2) throw InputError("compare takes two scenarios or stored results at least; usage: " + usage);
  std::vector<CompareInput> inputs;
  for (const std::string& file : files) inputs.push_back(load_compare_input(file, data));
  tell_names_apart(inputs);
  std::optional<DataRoot> old_data;
  if (parsed.has("old-data")) {
    if (!inputs.front().stored || inputs.size() != 2) throw InputError("--old-data", "goes with two inputs, the first a stored result");
    old_data = find_data_root(parsed.text("old-data"), {});
    inputs.front().resolve_with(*old_data);
  }
  if (parsed.has("seed")) {
    for (CompareInput& input : inputs) {
      if (input.scenario) input.scenario->seed = static_cast<std::uint64_t>(whole_number(parsed, "seed", 0, kMaxSeed));
    }
  }
  JsonOutput json(parsed.text("json"));
  PageOutput page(parsed);
  const Comparison comparison = [&] {
    Progress progress("comparing");
    return compare(inputs, data, old_data ? &*old_data : nullptr, [&progress](double share) { progress.update(share); });
  }();
  if (json.wanted() || page.wanted()) {
    const std::string text = comparison_json(comparison, data);
    if (json.wanted()) json.write(text);
    if (page.wanted()) page.write(text);
  }
  if (!json.to_stdout()) print_text(comparison_summary(comparison));
  return 0;
}

}  // namespace moeplan::cli
