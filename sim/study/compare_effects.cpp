#include "study/compare_effects.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "study/compare_differences.hpp"
#include "study/compare_input.hpp"
#include "study/first_burst.hpp"
#include "study/simulation.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

using Metrics = std::map<std::string, double>;

/// Inputs that differ between two scenarios, each with the parts of the scenario that it is made of.
std::map<std::string, std::set<std::string>> changed_inputs(const json& from, const json& to) {
  std::map<std::string, std::set<std::string>> inputs;
  const json a = from.flatten();
  const json b = to.flatten();
  std::set<std::string> paths;
  for (const json* side : {&a, &b}) {
    for (const auto& [path, value] : side->items()) paths.insert(path);
  }
  for (const std::string& path : paths) {
    if (path == "/name" || path.starts_with("/quality")) continue;
    if (!a.contains(path) || !b.contains(path) || a.at(path) != b.at(path)) inputs[input_of(path)].insert(root_of(path));
  }
  // A GPU brings its kernels, a dense or sparse model its routing.
  const auto join = [&inputs](const char* into, const char* what) {
    if (inputs.count(into) == 0 || inputs.count(what) == 0) return;
    inputs[into].merge(inputs[what]);
    inputs.erase(what);
  };
  if (from.at("cluster").at("gpu") != to.at("cluster").at("gpu")) join("hardware", "driver and kernel profile");
  if (from.contains("routing") != to.contains("routing")) join("checkpoint", "routing");
  // A model brings its context: with that of the other it could not be run alone.
  static const json::json_pointer kContext("/deployment/scheduler/max_context");
  const auto context = [](const json& scenario) { return scenario.contains(kContext) ? scenario.at(kContext) : json(); };
  if (context(from) != context(to)) join("checkpoint", "scheduler");
  return inputs;
}

json with_input(json from, const json& to, const std::set<std::string>& roots) {
  for (const std::string& root : roots) {
    const json::json_pointer pointer(root);
    if (to.contains(pointer)) {
      from[pointer] = to.at(pointer);
    } else {
      from.at(pointer.parent_pointer()).erase(pointer.back());
    }
  }
  return from;
}

Metrics metrics_of(const Result& result) {
  Metrics m;
  const auto latency = [&](LatencyMetric metric) -> const LatencySummary& { return (*result.latency)[static_cast<std::size_t>(metric)]; };
  m["ttft_p99"] = latency(LatencyMetric::kTtft).p99;
  if (latency(LatencyMetric::kTpot).count > 0) m["tpot_p99"] = latency(LatencyMetric::kTpot).p99;
  m["output_tokens_per_s"] = result.throughput->output_tokens_per_s;
  if (result.cost && result.cost->usd_per_million_output_tokens)
    m["usd_per_million_output_tokens"] = *result.cost->usd_per_million_output_tokens;
  return m;
}

Metrics metrics_of(const json& stored) {
  Metrics m;
  for (const auto& [name, pointer] : {std::pair{"ttft_p99", "/latency/ttft_s/p99"},
                                      {"tpot_p99", "/latency/tpot_s/p99"},
                                      {"output_tokens_per_s", "/throughput/output_tokens_per_s"},
                                      {"usd_per_million_output_tokens", "/cost/per_million_output_tokens_usd"}}) {
    const json::json_pointer where(pointer);
    if (stored.contains(where) && stored.at(where).is_number()) m[name] = stored.at(where).get<double>();
  }
  return m;
}

std::map<std::string, double> relative(const Metrics& from, const Metrics& to) {
  std::map<std::string, double> change;
  for (const auto& [name, value] : from) {
    const auto other = to.find(name);
    if (other != to.end() && value > 0) change[name] = other->second / value - 1;
  }
  return change;
}

bool is_zero(const std::map<std::string, double>& change) {
  return std::all_of(change.begin(), change.end(), [](const auto& c) { return c.second == 0; });
}

/// Metrics of a scenario, or why there are none.
struct Outcome {
  Metrics metrics;
  bool saturated = false;
  std::string why_not;
};

/// Where the scenarios are found and what their runs share.
struct Bench {
  const DataRoot& data;
  StudyLibraries& shared;
};

Outcome run(Scenario scenario, const CompareInput& like, const Bench& bench) {
  // A stored result is to be met as it was made.
  if (!like.stored) scenario.workload = past_first_burst(scenario.workload);
  RunOptions options;
  options.shared = &bench.shared;
  if (like.stored) options.replications = std::max(1, like.stored->value("replications", 1));
  const Result result = run_scenario(scenario, options);
  if (!result.latency) return {{}, false, "does not fit"};
  return {metrics_of(result), result.throughput->saturated, ""};
}

Outcome run(const json& resolved, const CompareInput& like, const Bench& bench) {
  try {
    return run(resolve_again(resolved, "scenario", bench.data), like, bench);
  } catch (const InputError& error) {
    return {{}, false, error.what()};
  }
}

std::vector<std::string> changed_files(const CompareInput& stored, const DataRoot& data) {
  std::vector<std::string> changed;
  if (!stored.scenario) return changed;
  const auto now = hashed_files(*stored.scenario, data);
  for (const auto& [file, hash] : stored.files) {
    const auto today = now.find(file);
    if (today != now.end() && today->second != hash) changed.push_back("file " + file);
  }
  if (version_of(stored) != MOEPLAN_VERSION)
    changed.push_back(fmt::format("moeplan_version {} -> {}", version_of(stored), MOEPLAN_VERSION));
  return changed;
}

/// Takes over what `file` says from `from`.
void take_file(const std::string& file, const Scenario& from, Scenario& to) {
  const auto in = [&file](const char* folder) { return file.find(folder) != std::string::npos; };
  DeploymentConfig& d = to.deployment;
  if (in("scenarios/models/")) d.model = from.deployment.model;
  if (in("/gpus/")) d.cluster.gpu = from.deployment.cluster.gpu;
  if (in("/nodes/")) d.cluster.node = from.deployment.cluster.node;
  if (in("/engines/")) d.engine = from.deployment.engine;
  if (in("/fitted/")) d.cost_profile = from.deployment.cost_profile;
  if (in("prices.csv")) to.cost = from.cost;
  if (in("scenarios/routing/")) {
    d.routing = from.deployment.routing;
    d.placement = from.deployment.placement;
  }
  if (in("scenarios/workloads/") || in("scenarios/traces/")) to.workload = from.workload;
}

/// Effects of the files that changed since the first result was stored, one at a time, with the catalogues that it was made with.
void add_file_effects(const CompareInput& first, const Bench& bench, const DataRoot& old_data, std::vector<Effect>& out) {
  const Scenario then = resolve_again(first.resolved, first.file + " (scenario, old catalogues)", old_data);
  const Scenario now = resolve_again(first.resolved, first.file + " (scenario)", bench.data);
  const Outcome base = run(then, first, bench);
  const auto hashes = hashed_files(then, old_data);
  for (const std::string& path : changed_files(first, bench.data)) {
    if (!path.starts_with("file ")) continue;
    const std::string file = path.substr(5);
    Effect effect{input_of(path), {path}, {}, ""};
    if (hashes.count(file) == 0 || hashes.at(file) != first.files.at(file))
      effect.note = "the old catalogues do not hold the file that the result was made with";
    Scenario swapped = then;
    take_file(file, now, swapped);
    const Outcome outcome = run(swapped, first, bench);
    effect.change = relative(base.metrics, outcome.metrics);
    if (!outcome.why_not.empty()) effect.note = outcome.why_not;
    out.push_back(std::move(effect));
  }
  Effect rest{"program",
              {fmt::format("moeplan_version {} -> {}", version_of(first), MOEPLAN_VERSION)},
              relative(metrics_of(*first.stored), base.metrics),
              ""};
  if (!is_zero(rest.change)) out.push_back(std::move(rest));
}

/// What today's files and program change in a stored result, taken together; nothing when it is reproduced.
void add_joint_effect(const CompareInput& input, const Bench& bench, bool backwards, std::vector<Effect>& out) {
  const Outcome today = run(input.resolved, input, bench);
  const Metrics stored = metrics_of(*input.stored);
  Effect effect;
  effect.paths = changed_files(input, bench.data);
  effect.input = effect.paths.size() == 1 ? input_of(effect.paths.front()) : "files and program together";
  effect.change = backwards ? relative(today.metrics, stored) : relative(stored, today.metrics);
  if (!today.why_not.empty()) {
    effect.note = "cannot be run again: " + today.why_not;
  } else if (is_zero(effect.change)) {
    return;
  } else if (effect.paths.empty()) {
    effect.note =
        input.stored->contains("anchors") ? "the stored result was corrected by anchors" : "the stored result was made with other options";
  }
  if (backwards) effect.note += std::string(effect.note.empty() ? "" : "; ") + "of the second input's own files";
  out.push_back(std::move(effect));
}

}  // namespace

std::vector<Effect> find_effects(const std::vector<CompareInput>& inputs, const DataRoot& data, const DataRoot* old_data,
                                 StudyLibraries& shared) {
  const Bench bench{data, shared};
  const CompareInput& first = inputs.at(0);
  const CompareInput& second = inputs.at(1);
  std::vector<Effect> out;
  if (first.stored && old_data != nullptr) {
    add_file_effects(first, bench, *old_data, out);
  } else if (first.stored) {
    add_joint_effect(first, bench, false, out);
  }
  const Outcome base = run(first.resolved, first, bench);
  for (const auto& [input, roots] : changed_inputs(first.resolved, second.resolved)) {
    Effect effect;
    effect.input = input;
    effect.paths.assign(roots.begin(), roots.end());
    const Outcome alone = base.why_not.empty() ? run(with_input(first.resolved, second.resolved, roots), first, bench) : base;
    if (alone.why_not.empty()) {
      effect.change = relative(base.metrics, alone.metrics);
      if (base.saturated || alone.saturated) {
        effect.note = fmt::format("saturated {} the change: latencies tell of the length of the run", !base.saturated ? "by" : alone.saturated ? "before and after" : "before");
      }
    } else {
      effect.note = "cannot be run alone: " + alone.why_not;
    }
    out.push_back(std::move(effect));
  }
  if (second.stored) add_joint_effect(second, bench, true, out);
  const Metrics from = first.stored ? metrics_of(*first.stored) : base.metrics;
  const Metrics to = second.stored ? metrics_of(*second.stored) : run(second.resolved, second, bench).metrics;
  out.push_back({"all of it", {}, relative(from, to), ""});
  return out;
}

}  // namespace moeplan
