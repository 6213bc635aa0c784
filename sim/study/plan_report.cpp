#include "study/plan_report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "study/plan_journal.hpp"
#include "study/plan_words.hpp"
#include "study/simulation.hpp"

namespace moeplan {

namespace {

/// The latency objective that is used up most; nothing where there is none.
const Objective* tightest(const PlanSpace& space, const PlanFigures& plan) {
  const std::vector<Objective>& objectives = space.objectives;
  const Objective* found = nullptr;
  double most = 0;
  for (std::size_t i = 0; i < objectives.size(); ++i) {
    const double share = plan.objectives[i] / objectives[i].bound;
    if (objectives[i].kind != ObjectiveKind::kLatency || share <= most) continue;
    most = share;
    found = &objectives[i];
  }
  return found;
}

/// The two inputs that move the tightest objective most.
std::vector<std::string> largest_effects(const PlanSpace& space, const PlanFigures& plan, const Uncertainty& uncertainty) {
  std::vector<std::string> out;
  const Objective* objective = tightest(space, plan);
  if (objective == nullptr || !objective->workload_class.empty()) return out;
  std::string key = objective->key;
  std::replace(key.begin(), key.end(), '_', '.');
  const auto effects = uncertainty.sensitivity.find(key);
  if (effects == uncertainty.sensitivity.end()) return out;
  for (const InputEffect& effect : effects->second) {
    const auto input = std::find_if(uncertainty.inputs.begin(), uncertainty.inputs.end(), [&](const UncertainInput& i) { return i.name == effect.input; });
    if (out.size() == 2 || input == uncertainty.inputs.end()) break;
    out.push_back(fmt::format("{} between {:.3g} and {:.3g}: {} between {} and {}", effect.input, input->low, input->high, objective->key,
                              objective_value_text(*objective, effect.low_value), objective_value_text(*objective, effect.high_value)));
  }
  return out;
}

/// What the plan's GPUs bear, all of them up; nothing where that was not looked for, or where no rate is offered.
std::optional<LargestLoad> largest_load(const Scenario& scenario, const PlanFigures& plan, const std::optional<PlanHeadroom>& headroom) {
  const ArrivalProcess process = scenario.workload.arrivals.process;
  if (process == ArrivalProcess::kBatch) return LargestLoad{plan.served.requests};
  if (process == ArrivalProcess::kClosed || !headroom || !headroom->load_share) return std::nullopt;
  return LargestLoad{plan.served.requests * (1 + *headroom->load_share), headroom->load_share_is_bound};
}

/// In the long run both are paid for at the mean load. A mean load grows until its peak is all that the GPUs bear.
void add_hosted_at_mean(const PlanFigures& plan, const std::optional<LargestLoad>& largest, ApiComparison& api) {
  if (!plan.mean_differs() || !(plan.at_mean->served.requests > 0)) return;
  const PlanAtLoad& mean = *plan.at_mean;
  const ServedRates& served = mean.served;
  std::optional<LargestLoad> largest_mean = largest;
  if (largest_mean && plan.served.requests > 0) largest_mean->requests_per_s *= served.requests / plan.served.requests;
  api.at_mean.emplace(HostedAtMean{hosted_bill(api.price, mean.price.usd_per_hour, {served.requests, served.input_tokens, served.output_tokens, 0}, largest_mean), mean.factor,
                                   served.requests, mean.price.usd_per_hour});
  api.at_mean->text = fmt::format("at the mean load ({:.2f} x the workload's), all replicas up: {}", mean.factor, api.at_mean->text);
  // Each is even at its own cost: spares that serve draw power.
  const bool spares = plan.size.spare + plan.size.prefill.spare > 0 && mean.price.usd_per_hour != plan.price.usd_per_hour;
  api.text = fmt::format("{}; at the load that the plan is sized for{}: {}", api.at_mean->text, spares ? ", spares down and drawing no power" : "", api.text);
}

/// In full; where it takes too long, as far as the search knows it.
Result simulated_best(const PlanSpace& space, const PlanAnswer& answer, const TimeIsOver& too_late, StudyLibraries& shared, std::vector<std::string>& not_assessed) {
  const PlanFigures& plan = *answer.outcomes[*answer.best].plan;
  RunOptions run;
  run.shared = &shared;
  run.out_of_time = too_late;
  Result result;
  try {
    result = run_scenario(answer.scenario, run);
    if (result.cost && result.cost->api) {
      const auto largest = largest_load(answer.scenario, plan, answer.headroom);
      if (largest) know_largest_load(*largest, *result.cost);
      add_hosted_at_mean(plan, largest, *result.cost->api);
    }
  } catch (const OutOfTime&) {
    not_assessed.emplace_back("full simulation");
    result = memory_only(answer.scenario);
    for (std::size_t i = 0; i < answer.scenario.objectives.size(); ++i) result.objectives.push_back({space.objectives[i], plan.objectives[i], true});
  }
  result.anchors = answer.anchors;
  return result;
}

}  // namespace

PlanReport report_plan(const PlanSpace& space, const PlanAnswer& answer, const PlanReportOptions& options) {
  PlanReport report;
  report.not_assessed = answer.not_assessed;
  if (!answer.best) {
    report.result = memory_only(answer.scenario);
    for (const Objective& o : answer.scenario.objectives) report.result.objectives.push_back({o, std::nullopt, false});
    return report;
  }
  StudyLibraries shared;
  report.result = simulated_best(space, answer, options.too_late, shared, report.not_assessed);
  /// Whether the time sufficed.
  const auto in_time = [&](const char* what, const auto& work) {
    try {
      check_time(options.out_of_time);
      work();
    } catch (const OutOfTime&) {
      report.not_assessed.emplace_back(what);
    }
  };
  const PlanBase& base = space.bases[space.groups[space.candidates[*answer.best].group].base];
  if (base.fleet || base.failures) {
    in_time("trial", [&] { report.trial = try_plan(base.fleet, base.failures, answer.scenario, answer.outcomes[*answer.best].plan->size.spare, shared, options.out_of_time); });
  }
  if (options.errors == nullptr) return report;
  in_time("confidence", [&] {
    report.confidence = assess_plan(space, answer, *options.errors, {.jobs = options.jobs, .shared = &shared, .progress = options.progress, .out_of_time = options.out_of_time, .store = options.journal});
    if (!report.confidence->size_known) report.not_assessed.emplace_back("GPUs for 95 %");
    if (!report.result.latency) return;
    report.result.uncertainty = report.confidence->uncertainty;
    take_intervals(report.result);
  });
  return report;
}

std::vector<std::pair<Rejection, std::size_t>> rejection_counts(const PlanAnswer& answer) {
  std::map<Rejection, std::size_t> counts;
  for (const CandidateOutcome& o : answer.outcomes) {
    if (o.rejection != Rejection::kNone) ++counts[o.rejection];
  }
  std::vector<std::pair<Rejection, std::size_t>> out(counts.begin(), counts.end());
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return out;
}

std::vector<PlanChoice> plan_choices(const PlanSpace& space, const PlanAnswer& answer) {
  std::vector<PlanChoice> choices;
  std::map<std::pair<std::string, std::string>, std::size_t> index;
  std::vector<std::map<std::string, std::size_t>> problems;
  for (std::size_t i = 0; i < answer.outcomes.size(); ++i) {
    const DeploymentConfig& d = space.groups[space.candidates[i].group].config;
    const auto [at, fresh] = index.emplace(std::pair(d.model.id, d.cluster.gpu.id), choices.size());
    if (fresh) {
      choices.push_back({d.model.id, d.cluster.gpu.id, std::nullopt, {}, 0});
      problems.emplace_back();
    }
    PlanChoice& choice = choices[at->second];
    const CandidateOutcome& o = answer.outcomes[i];
    ++choice.candidates;
    if (o.plan && (!choice.candidate || plan_rank(space, answer, i) < plan_rank(space, answer, *choice.candidate))) choice.candidate = i;
    if (!o.plan) ++problems[at->second][std::string(to_string(o.rejection)) + (o.key.empty() ? "" : " (" + o.key + ")")];
  }
  for (std::size_t c = 0; c < choices.size(); ++c) {
    const auto most = std::max_element(problems[c].begin(), problems[c].end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most != problems[c].end()) choices[c].problem = most->first;
  }
  return choices;
}

namespace {

/// What the load that the plan is sized for rests on; empty where it is the workload's own.
std::string load_assumption(const LoadGrowth& load, const LoadFactors& factors) {
  if (factors.peak == 1 && load.months == 0) return {};
  std::string parts;
  const auto add = [&](const std::string& part) { parts += (parts.empty() ? "" : ", ") + part; };
  const double other = load.peak_factor * std::max(1.0, std::pow(1 + load.growth_per_month, load.months));
  if (std::abs(factors.peak - other) > 1e-9 * other) add(fmt::format("{:.3g} x the mean in the busiest hour", factors.peak / other));
  if (load.peak_factor != 1) add(fmt::format("peak_factor {:.3g}", load.peak_factor));
  if (load.months > 0) add(fmt::format("{:+.3g} % a month for {}", load.growth_per_month * 100, counted(load.months, "month")));
  return fmt::format("load: at most {:.2f} x the workload's ({})", factors.peak, parts);
}

}  // namespace

std::vector<std::string> plan_assumptions(const PlanSpace& space, const PlanAnswer& answer, const PlanConfidence* confidence) {
  std::vector<std::string> out;
  if (!answer.best || !answer.headroom) return out;
  const PlanFigures& best = *answer.outcomes[*answer.best].plan;
  if (confidence != nullptr) out = largest_effects(space, best, confidence->uncertainty);
  if (const std::string load = load_assumption(space.search.load, answer.factors); !load.empty()) out.push_back(load);
  for (const PlanHeadroom::Assumption& a : answer.headroom->assumptions) {
    if (a.replicas == 0) {
      out.push_back(fmt::format("{}: no number of replicas up to twice as many would do", a.text));
    } else if (const int serving = PlanProportion(best.size).most(); a.replicas > serving) {
      out.push_back(fmt::format("{}: {} instead of {}", a.text, counted(a.replicas, "serving replica"), serving));
    } else {
      out.push_back(fmt::format("{}: the plan still does", a.text));
    }
  }
  const std::string& gpu = space.groups[space.candidates[*answer.best].group].config.cluster.gpu.id;
  std::optional<std::size_t> rival;
  for (const PlanChoice& choice : plan_choices(space, answer)) {
    if (!choice.candidate || choice.gpu == gpu) continue;
    if (!rival || plan_rank(space, answer, *choice.candidate) < plan_rank(space, answer, *rival)) rival = choice.candidate;
  }
  if (rival) {
    const double dearer = answer.outcomes[*rival].plan->price.usd_per_hour / best.price.usd_per_hour - 1;
    out.push_back(dearer > 0 ? fmt::format("price of {}: {} more per hour, and {} costs no more", gpu, share_text(dearer), space.candidates[*rival].id)
                             : fmt::format("price of {}: already now {} costs no more", gpu, space.candidates[*rival].id));
  }
  return out;
}

}  // namespace moeplan
