#include "study/validation.hpp"

#include <fmt/core.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <atomic>

#include "base/error.hpp"

namespace moeplan {

namespace {

/// Runs that share one deployment.
struct Layout {
  std::string key;
  std::vector<std::size_t> runs;
};

std::vector<Layout> group_by_layout(const std::vector<MeasuredRun>& runs) {
  std::map<std::string, std::size_t> index;
  std::vector<Layout> layouts;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::string key = runs[i].layout_key();
    const auto [found, added] = index.try_emplace(key, layouts.size());
    if (added) layouts.push_back({key, {}});
    layouts[found->second].runs.push_back(i);
  }
  return layouts;
}

/// The reason without the id of the run, so that alike refusals count as one.
std::string reason_of(const InputError& error, const std::string& id) {
  std::string text = error.what();
  if (text.rfind(id + ": ", 0) == 0) text.erase(0, id.size() + 2);
  return text;
}

void correct(DeploymentConfig& config, const EngineCorrection& correction) {
  EngineProfile& engine = config.engine;
  engine.host_per_step = engine.host_per_step + Seconds(correction.host_per_step_s);
  engine.host_per_sequence = engine.host_per_sequence + Seconds(correction.host_per_sequence_s);
  engine.kernel_multiplier *= correction.kernel_multiplier;
}

void refuse_all(const Layout& layout, const std::string& why, std::vector<RunPrediction>& predictions) {
  for (const std::size_t i : layout.runs) predictions[i].refused = why;
}

void predict_layout(const Layout& layout, const std::vector<MeasuredRun>& runs, const DataRoot& data, const ValidationOptions& options,
                    RoutingLibrary& routing, std::vector<RunPrediction>& predictions) {
  const MeasuredRun& first = runs[layout.runs.front()];
  try {
    DeploymentConfig config = run_deployment(first, data);
    for (const std::size_t i : layout.runs) predictions[i].moe = config.model.is_moe();
    if (options.correction) correct(config, options.correction(first));
    const Deployment deployment(config, routing);
    if (!deployment.memory().plan.fits) {
      refuse_all(layout, fmt::format("does not fit: {:.1f} GB missing per GPU", deployment.memory().plan.missing.as_double() / 1e9), predictions);
      return;
    }
    for (const std::size_t i : layout.runs) predictions[i].predicted = simulate_run(runs[i], deployment, options.seed);
  } catch (const InputError& error) {
    refuse_all(layout, reason_of(error, first.id), predictions);
  }
}

void collect_rows(Validation& v) {
  for (std::size_t i = 0; i < v.runs.size(); ++i) {
    if (v.predictions[i].refused) continue;
    const bool scored = v.runs[i].quality != RunQuality::kS;
    if (scored) ++v.scored_runs;
    for (const RunMetric metric : kRunMetrics) {
      const auto measured = v.runs[i].value(metric);
      const auto predicted = v.predictions[i].predicted[static_cast<std::size_t>(metric)];
      if (measured && predicted) v.rows.push_back({i, metric, *measured, *predicted, scored});
    }
  }
}

void tabulate(Validation& v) {
  using Errors = std::map<std::string, std::vector<double>>;  // by metric
  std::map<std::string, std::map<std::string, Errors>> groups;
  Errors all;
  for (const ValidationRow& row : v.rows) {
    if (!row.scored) continue;
    const MeasuredRun& run = v.runs[row.run];
    const std::string metric(to_string(row.metric));
    const std::string kind = v.predictions[row.run].moe ? "moe" : "dense";
    all[metric].push_back(row.error());
    for (const auto& [group, name] : std::initializer_list<std::pair<const char*, std::string>>{{"by_suite", run.suite},
                                                                                                {"by_model", run.model},
                                                                                                {"by_gpu", run.gpu},
                                                                                                {"by_engine", run.engine},
                                                                                                {"by_mode", std::string(to_string(run.mode))},
                                                                                                {"by_kind", kind},
                                                                                                {"by_suite_kind", run.suite + "/" + kind}}) {
      groups[group][name][metric].push_back(row.error());
    }
  }
  for (auto& [metric, errors] : all) v.metrics[metric] = error_statistics(std::move(errors));
  for (auto& [group, names] : groups) {
    for (auto& [name, metrics] : names) {
      for (auto& [metric, errors] : metrics) v.groups[group][name][metric] = error_statistics(std::move(errors));
    }
  }
}

}  // namespace

Validation validate_runs(std::vector<MeasuredRun> runs, const DataRoot& data, const ValidationOptions& options) {
  Validation v;
  v.runs = std::move(runs);
  v.predictions.resize(v.runs.size());
  const std::vector<Layout> layouts = group_by_layout(v.runs);
  std::optional<tbb::global_control> limit;
  if (options.jobs > 0) limit.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(options.jobs));
  RoutingLibrary routing;
  std::atomic<std::size_t> done{0};
  tbb::parallel_for(std::size_t{0}, layouts.size(), [&](std::size_t l) {
    predict_layout(layouts[l], v.runs, data, options, routing, v.predictions);
    const std::size_t finished = done += layouts[l].runs.size();
    if (options.progress) options.progress(static_cast<double>(finished) / static_cast<double>(v.runs.size()));
  });
  collect_rows(v);
  tabulate(v);
  return v;
}

}  // namespace moeplan
