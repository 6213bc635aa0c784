#include "study/validation.hpp"

#include <fmt/core.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>

#include "base/error.hpp"
#include "calibration/kernel_library.hpp"
#include "study/anchor_study.hpp"
#include "study/uncertain_inputs.hpp"
#include "study/validation_intervals.hpp"

namespace moeplan {

namespace {

/// Expected, for the progress report: one at the start, four derivatives, a few steps.
constexpr std::size_t kSimulationsPerAnchor = 8;

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

void refuse_all(const Layout& layout, const std::string& why, std::vector<RunPrediction>& predictions) {
  for (const std::size_t i : layout.runs) predictions[i].refused = why;
}

template <class Operation>
bool measured_here(const CostProfile& profile, Precision format) {
  const auto& kernels = profile.of<Operation>();
  return std::any_of(kernels.begin(), kernels.end(), [&](const auto& k) { return k.from.empty() && k.key.format == format; });
}

/// What reports say about a deployment beside its simulation.
RunPrediction describe(const MeasuredRun& run, const DeploymentConfig& config, KernelLibrary& kernels) {
  RunPrediction p;
  p.moe = config.model.is_moe();
  if (config.layout.attention_data != run.dp) p.assumed = "attention data parallelism, as neither ep nor dp is stated";
  p.operations = deployment_errors(config, kernels, {}).operations;
  const DeploymentPrecision& formats = config.precision;
  p.setting = {config.engine.version, std::string(to_string(formats.weights)), std::string(to_string(formats.experts)), p.moe,
               config.model.mtp_layers > 0, false, false, !run.kv_cache.empty()};
  if (!config.cost_profile.empty()) {
    const CostProfile& profile = kernels.profile(config.cost_profile);
    p.setting.products_measured = measured_here<GemmOperation>(profile, formats.weights);
    p.setting.experts_measured = measured_here<MoeOperation>(profile, formats.experts);
  }
  const EngineProfile& e = config.engine;
  p.engine = {e.host_per_step.value(), e.request_latency.value(), e.host_per_sequence.value(), e.kernel_multiplier};
  return p;
}

/// A run whose requests fit nowhere is refused by itself: others of its layout may be shorter. One that breaks an invariant is refused by that name
/// and takes no other with it.
void predict_one(const MeasuredRun& run, const Deployment& deployment, std::uint64_t seed, RunPrediction& out) {
  try {
    out.predicted = simulate_run(run, deployment, seed, &out.evidence);
  } catch (const InputError& error) {
    out.refused = reason_of(error, run.id);
  } catch (const InternalError& error) {
    out.refused = fmt::format("internal error, please report: {}", error.what());
  }
}

void predict_layout(const Layout& layout, const std::vector<MeasuredRun>& runs, const DataRoot& data, const ValidationOptions& options,
                    const std::vector<const EngineCorrection*>& corrections, StudyLibraries& shared, std::vector<RunPrediction>& predictions) {
  const MeasuredRun& first = runs[layout.runs.front()];
  try {
    DeploymentConfig config = run_deployment(first, data);
    if (options.correction) correct_engine(config.engine, options.correction(first));
    for (const EngineCorrection* correction : corrections) correct_engine(config.engine, *correction);
    const RunPrediction common = describe(first, config, shared.kernels);
    for (const std::size_t i : layout.runs) predictions[i] = common;
    const Deployment deployment(config, shared);
    if (!deployment.memory().plan.fits) {
      refuse_all(layout, fmt::format("does not fit: {:.1f} GB missing per GPU", deployment.memory().plan.missing.as_double() / 1e9), predictions);
      return;
    }
    for (const std::size_t i : layout.runs) predict_one(runs[i], deployment, options.seed, predictions[i]);
  } catch (const InputError& error) {
    refuse_all(layout, reason_of(error, first.id), predictions);
  } catch (const InternalError& error) {
    refuse_all(layout, fmt::format("internal error, please report: {}", error.what()), predictions);
  }
}

void collect_rows(Validation& v) {
  v.rows.clear();
  v.scored_runs = 0;
  for (std::size_t i = 0; i < v.runs.size(); ++i) {
    if (v.predictions[i].refused) continue;
    const bool scored = v.runs[i].quality != RunQuality::kS && (v.unscored.empty() || !v.unscored[i]) && states_a_measurement(v.runs[i]);
    if (scored) ++v.scored_runs;
    for (const RunMetric metric : kRunMetrics) {
      const auto measured = v.runs[i].value(metric);
      const auto predicted = v.predictions[i].predicted[static_cast<std::size_t>(metric)];
      if (measured && predicted) v.rows.push_back({i, metric, *measured, *predicted, scored});
    }
  }
}

}  // namespace

bool states_a_measurement(const MeasuredRun& run) {
  return std::any_of(kRunMetrics.begin(), kRunMetrics.end(), [&](const RunMetric metric) { return run.value(metric).has_value(); });
}

void tabulate_errors(const Validation& v, const std::function<double(const ValidationRow&)>& error_of, ErrorTable& metrics_out,
                     std::map<std::string, std::map<std::string, ErrorTable>>& groups_out) {
  using Errors = std::map<std::string, std::vector<double>>;  // by metric
  std::map<std::string, std::map<std::string, Errors>> groups;
  Errors all;
  metrics_out.clear();
  groups_out.clear();
  for (const ValidationRow& row : v.rows) {
    if (!row.scored) continue;
    const double error = error_of(row);
    const MeasuredRun& run = v.runs[row.run];
    const std::string metric(to_string(row.metric));
    const std::string kind = v.predictions[row.run].moe ? "moe" : "dense";
    all[metric].push_back(error);
    for (const auto& [group, name] : std::initializer_list<std::pair<const char*, std::string>>{{"by_suite", run.suite},
                                                                                                {"by_model", run.model},
                                                                                                {"by_gpu", run.gpu},
                                                                                                {"by_engine", run.engine},
                                                                                                {"by_mode", std::string(to_string(run.mode))},
                                                                                                {"by_kind", kind},
                                                                                                {"by_suite_kind", run.suite + "/" + kind}}) {
      groups[group][name][metric].push_back(error);
    }
  }
  for (auto& [metric, errors] : all) metrics_out[metric] = error_statistics(std::move(errors));
  for (auto& [group, names] : groups) {
    for (auto& [name, metrics] : names) {
      for (auto& [metric, errors] : metrics) groups_out[group][name][metric] = error_statistics(std::move(errors));
    }
  }
}

namespace {

void tabulate_rows(Validation& v) {
  collect_rows(v);
  tabulate_errors(v, [](const ValidationRow& row) { return row.error(); }, v.metrics, v.groups);
}

/// Counts finished simulations of all passes together.
class SharedProgress {
 public:
  SharedProgress(const std::function<void(double)>& report, std::size_t total) : report_(report), total_(static_cast<double>(total)) {}
  void add(std::size_t done) {
    const std::size_t now = done_ += done;
    if (report_) report_(std::min(1.0, static_cast<double>(now) / total_));
  }

 private:
  const std::function<void(double)>& report_;
  double total_;
  std::atomic<std::size_t> done_{0};
};

/// Everything that the passes over the layouts share.
struct Passes {
  const std::vector<MeasuredRun>& runs;
  const DataRoot& data;
  const ValidationOptions& options;
  StudyLibraries& shared;
  SharedProgress& progress;
};

using Fits = std::map<std::string, AnchorFit>;

/// With the anchors' corrections, and one for all runs unless it is null.
std::vector<RunPrediction> predict_all(const Passes& p, const std::vector<Layout>& layouts, const Fits& fits, const EngineCorrection* everywhere = nullptr) {
  std::vector<RunPrediction> predictions(p.runs.size());
  tbb::parallel_for(std::size_t{0}, layouts.size(), [&](std::size_t l) {
    const auto fit = fits.find(p.runs[layouts[l].runs.front()].anchor_key());
    std::vector<const EngineCorrection*> corrections;
    if (fit != fits.end()) corrections.push_back(&fit->second.correction);
    if (everywhere != nullptr) corrections.push_back(everywhere);
    predict_layout(layouts[l], p.runs, p.data, p.options, corrections, p.shared, predictions);
    p.progress.add(layouts[l].runs.size());
  });
  return predictions;
}

/// A layout that cannot be predicted has no fit; its rows say why when they are predicted.
Fits fit_all(const Passes& p, const AnchorPlan& plan) {
  std::vector<const std::vector<MeasuredRun>*> sets;
  for (const auto& [key, anchors] : plan.anchors) sets.push_back(&anchors);
  std::vector<std::optional<AnchorFit>> found(sets.size());
  tbb::parallel_for(std::size_t{0}, sets.size(), [&](std::size_t i) {
    try {
      found[i] = fit_layout(*sets[i], p.data, p.shared, p.options.seed);
    } catch (const InputError&) {
    }
    p.progress.add(sets[i]->size() * kSimulationsPerAnchor);
  });
  Fits fits;
  for (std::optional<AnchorFit>& fit : found) {
    if (fit) fits.emplace(fit->layout, std::move(*fit));
  }
  return fits;
}

}  // namespace

Validation validate_runs(std::vector<MeasuredRun> runs, const DataRoot& data, const ValidationOptions& options) {
  Validation v;
  v.runs = std::move(runs);
  const std::vector<Layout> layouts = group_by_layout(v.runs);
  std::optional<tbb::global_control> limit;
  if (options.jobs > 0) limit.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(options.jobs));
  const bool anchored = options.anchors > 0 || !options.anchor_runs.empty();
  AnchorPlan plan;
  if (options.anchors > 0) plan = plan_anchors(v.runs, static_cast<std::size_t>(options.anchors));
  else if (anchored) plan = plan_anchors(v.runs, options.anchor_runs);
  v.unscored = plan.unscored;
  std::size_t work = ((anchored ? 2 : 1) + (options.leave_out ? kLeaveOutSteps.size() : 0)) * v.runs.size();
  for (const auto& [key, anchors] : plan.anchors) work += anchors.size() * kSimulationsPerAnchor;

  StudyLibraries shared;
  SharedProgress progress(options.progress, work);
  const Passes passes{v.runs, data, options, shared, progress};
  v.predictions = predict_all(passes, layouts, {});
  if (anchored) {
    tabulate_rows(v);
    v.metrics_before = v.metrics;
    const Fits fits = fit_all(passes, plan);
    v.predictions = predict_all(passes, layouts, fits);
    for (const auto& [key, fit] : fits) {
      v.anchor_fits.push_back(fit);
      for (const std::string& line : fit.contradictions) v.anchor_notes.push_back(line);
    }
  }
  tabulate_rows(v);
  if (options.leave_out) {
    std::vector<std::vector<RunPrediction>> shifted;
    for (const EngineCorrection& step : kLeaveOutSteps) shifted.push_back(predict_all(passes, layouts, {}, &step));
    add_left_out(v, shifted);
  }
  if (options.errors) add_intervals(v, *options.errors, options.level);
  return v;
}

}  // namespace moeplan
