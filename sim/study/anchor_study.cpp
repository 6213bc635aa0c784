#include "study/anchor_study.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"

namespace moeplan {

namespace {

/// Simulates all anchors on their deployments under `correction`. Anchors of one layout may differ in their KV format: `configs` by it.
std::vector<double> predict_anchors(const std::vector<MeasuredRun>& anchors, const std::map<std::string, DeploymentConfig>& configs,
                                    StudyLibraries& shared, std::uint64_t seed, const EngineCorrection& correction) {
  std::vector<double> values(anchors.size());
  for (const auto& [key, config] : configs) {
    DeploymentConfig corrected = config;
    correct_engine(corrected.engine, correction);
    const Deployment deployment(corrected, shared);
    if (!deployment.memory().plan.fits) throw InputError("does not fit");
    for (std::size_t i = 0; i < anchors.size(); ++i) {
      if (anchors[i].layout_key() != key) continue;
      const auto value = simulate_run(anchors[i], deployment, seed)[static_cast<std::size_t>(*anchor_metric(anchors[i]))];
      if (!value) throw InputError(anchors[i].id, fmt::format("outputs of one token have no {}", to_string(*anchor_metric(anchors[i]))));
      values[i] = *value;
    }
  }
  return values;
}

AnchorFit fit_on(const std::vector<MeasuredRun>& anchors, const std::map<std::string, DeploymentConfig>& configs, StudyLibraries& shared,
                 std::uint64_t seed) {
  const auto predict = [&](const EngineCorrection& correction) { return predict_anchors(anchors, configs, shared, seed, correction); };
  return fit_anchors(anchors, configs.begin()->second.engine, predict);
}

/// What keeps a row from being a measurement of the scenario's deployment: "GPU 'a', the scenario has 'b'".
struct Differences {
  std::vector<std::string> texts;
  int weight = 0;  ///< another model is further off than another layout, that than another format

  void compare(const char* what, int how_far, const std::string& theirs, const std::string& ours) {
    if (theirs == ours) return;
    texts.push_back(fmt::format("{} '{}', the scenario has '{}'", what, theirs, ours));
    weight += how_far;
  }
};

/// "fp8" of a measured run says nothing of the scales' granularity.
std::string_view format_text(Precision p) { return to_string(p == Precision::kFp8Block ? Precision::kFp8 : p); }

Differences differences(const MeasuredRun& run, const Scenario& scenario, const DataRoot& data) {
  const DeploymentConfig& d = scenario.deployment;
  Differences found;
  found.compare("model", 1000, run.model, d.model.id);
  found.compare("GPU", 100, run.gpu, d.cluster.gpu.id);
  found.compare("engine", 100, run.engine, d.engine.id);
  const ParallelLayout& l = d.layout;
  const auto layout = [](int tp, int ep, int pp, int dp) { return fmt::format("tp {} ep {} pp {} dp {}", tp, ep, pp, dp); };
  found.compare("layout", 10, layout(run.tp, run.ep, run.pp, run.dp), layout(l.tensor, l.expert, l.pipeline, l.attention_data));
  if (found.weight > 0) return found;
  const DeploymentPrecision theirs = run_deployment(run, data).precision;
  if (!run.weights.empty()) {
    const auto formats = [&](const DeploymentPrecision& p) {
      return d.model.is_moe() ? fmt::format("{}, experts {}", format_text(p.weights), format_text(p.experts)) : std::string(format_text(p.weights));
    };
    found.compare("weights", 1, formats(theirs), formats(d.precision));
  }
  if (!run.kv_cache.empty()) found.compare("KV cache", 1, std::string(to_string(theirs.kv_cache)), std::string(to_string(d.precision.kv_cache)));
  return found;
}

std::vector<MeasuredRun> matching_runs(const Scenario& scenario, const std::filesystem::path& file, const DataRoot& data) {
  std::vector<MeasuredRun> matching;
  Differences nearest;
  for (MeasuredRun& run : read_measured_runs(file)) {
    if (run.quality == RunQuality::kS || !anchor_metric(run)) continue;
    Differences differs = differences(run, scenario, data);
    if (differs.weight == 0) {
      matching.push_back(std::move(run));
    } else if (nearest.weight == 0 || differs.weight < nearest.weight) {
      nearest = std::move(differs);
      nearest.texts.front() = fmt::format("nearest row '{}': {}", run.id, nearest.texts.front());
    }
  }
  if (!matching.empty()) return matching;
  std::string text = "no row was measured on the scenario's deployment; ";
  if (nearest.texts.empty()) text += "no row states a TPOT, ITL or output throughput that may be used";
  for (std::size_t i = 0; i < nearest.texts.size(); ++i) text += (i == 0 ? "" : "; ") + nearest.texts[i];
  throw InputError(file.string(), text);
}

}  // namespace

AnchorPlan plan_anchors(const std::vector<MeasuredRun>& runs, std::size_t count) {
  AnchorPlan plan;
  plan.unscored.resize(runs.size());
  std::map<std::string, std::vector<std::size_t>> layouts;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].quality != RunQuality::kS) layouts[runs[i].anchor_key()].push_back(i);
  }
  for (const auto& [key, members] : layouts) {
    const bool enough = members.size() > count;
    for (const std::size_t i : enough ? choose_anchors(runs, members, count) : members) {
      plan.unscored[i] = true;
      if (enough) plan.anchors[key].push_back(runs[i]);
    }
  }
  return plan;
}

AnchorPlan plan_anchors(const std::vector<MeasuredRun>& runs, const std::vector<MeasuredRun>& from) {
  AnchorPlan plan;
  plan.unscored.resize(runs.size());
  std::set<std::string> used;
  for (const MeasuredRun& run : from) {
    if (run.quality == RunQuality::kS || !anchor_metric(run)) continue;
    plan.anchors[run.anchor_key()].push_back(run);
    used.insert(run.id);
  }
  for (std::size_t i = 0; i < runs.size(); ++i) plan.unscored[i] = used.count(runs[i].id) > 0;
  return plan;
}

AnchorFit fit_layout(const std::vector<MeasuredRun>& anchors, const DataRoot& data, StudyLibraries& shared, std::uint64_t seed) {
  std::map<std::string, DeploymentConfig> configs;
  for (const MeasuredRun& run : anchors) {
    if (configs.count(run.layout_key()) == 0) configs.emplace(run.layout_key(), run_deployment(run, data));
  }
  return fit_on(anchors, configs, shared, seed);
}

bool has_anchors(const Scenario& scenario, const std::vector<MeasuredRun>& runs, const DataRoot& data) {
  return std::any_of(runs.begin(), runs.end(), [&](const MeasuredRun& run) {
    return run.quality != RunQuality::kS && anchor_metric(run) && run.model == scenario.deployment.model.id && differences(run, scenario, data).weight == 0;
  });
}

AnchorFit anchor_scenario(Scenario& scenario, const std::filesystem::path& file, const DataRoot& data) {
  const std::vector<MeasuredRun> anchors = matching_runs(scenario, file, data);
  std::map<std::string, DeploymentConfig> configs;
  for (const MeasuredRun& run : anchors) configs.emplace(run.layout_key(), scenario.deployment);
  StudyLibraries shared;
  AnchorFit fit = fit_on(anchors, configs, shared, scenario.seed);
  if (!fit.contradictions.empty()) throw InputError(file.string(), fit.contradictions.front());
  correct_engine(scenario.deployment.engine, fit.correction);
  scenario.files.push_back(file);
  if (anchors.size() == 1) {
    scenario.warnings.push_back("one anchor cannot tell host time from kernel time: the correction holds near its operating point");
  }
  return fit;
}

}  // namespace moeplan
