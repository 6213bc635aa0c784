#include "study/plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "study/first_burst.hpp"
#include "study/plan_candidate.hpp"
#include "study/plan_headroom.hpp"
#include "study/plan_journal.hpp"
#include "study/plan_screening.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

constexpr double kNoCut = std::numeric_limits<double>::infinity();
/// Groups of the first round; later ones are twice as long each. Fixed: the answer must not depend on who computes.
constexpr std::size_t kFirstRound = 8;
constexpr std::size_t kLongestRound = 128;

class PlanSearch {
 public:
  PlanSearch(const PlanSpace& space, const DataRoot& data, const PlanOptions& options, PlanExecutor& executor)
      : space_(space), options_(options), executor_(executor), workshop_(space, data, options) {
    answer_.factors = workshop_.factors();
  }
  PlanAnswer run();

 private:
  void simulate_rounds();
  std::vector<std::size_t> round_order() const;
  std::string evaluate_group(std::size_t group, double cut);
  void take_group(std::size_t group, const json& found);
  std::optional<std::string> evaluate(std::size_t candidate, const PlanLadder& ladder, double cut);
  [[nodiscard]] double cut_for(std::size_t group) const;
  void place_pools(std::size_t group, const PlanSize& size, Scenario& scenario) const;
  void describe_best();
  void find_headroom(const PlanGroup& group, const PlanFigures& plan);

  const PlanSpace& space_;
  const PlanOptions& options_;
  PlanExecutor& executor_;
  PlanWorkshop workshop_;
  CandidateSearch candidates_{workshop_};
  std::vector<Screened> screened_;  ///< by candidate
  PlanAnswer answer_;
};

std::vector<std::size_t> PlanSearch::round_order() const {
  std::vector<std::pair<double, std::size_t>> order;
  for (std::size_t g = 0; g < space_.groups.size(); ++g) {
    double least = kNoCut;
    for (std::size_t i = 0; i < space_.groups[g].count; ++i) {
      const Screened& s = screened_[space_.groups[g].first + i];
      if (s.outcome.rejection == Rejection::kNone) least = std::min(least, s.least_usd);
    }
    if (least < kNoCut) order.emplace_back(least, g);
  }
  std::sort(order.begin(), order.end());
  std::vector<std::size_t> groups;
  for (const auto& [usd, g] : order) groups.push_back(g);
  return groups;
}

/// What a candidate may cost at most to be of interest: the front reaches up to a multiple of the cheapest plan, and of every model on every GPU, and of
/// every value of a feature, the cheapest plan is wanted.
double PlanSearch::cut_for(std::size_t index) const {
  const PlanGroup& group = space_.groups[index];
  const auto& features = space_.bases[group.base].features;
  const auto same_choice = [&](const PlanGroup& g) {
    return g.config.model.id == group.config.model.id && g.config.cluster.gpu.id == group.config.cluster.gpu.id;
  };
  double cheapest = kNoCut;
  double of_choice = kNoCut;
  std::map<std::string, double> of_feature;
  for (const auto& [name, value] : features) of_feature[name] = kNoCut;
  for (std::size_t i = 0; i < answer_.outcomes.size(); ++i) {
    const CandidateOutcome& o = answer_.outcomes[i];
    if (!o.plan) continue;
    const double usd = o.plan->price.usd_per_hour;
    const PlanGroup& of = space_.groups[space_.candidates[i].group];
    cheapest = std::min(cheapest, usd);
    if (same_choice(of)) of_choice = std::min(of_choice, usd);
    for (const auto& [name, value] : space_.bases[of.base].features) {
      if (features.at(name) == value) of_feature[name] = std::min(of_feature[name], usd);
    }
  }
  double cut = std::max(cheapest * space_.search.pareto_up_to, of_choice);
  for (const auto& [name, usd] : of_feature) cut = std::max(cut, usd);
  return cut;
}

void PlanSearch::simulate_rounds() {
  const std::vector<std::size_t> order = round_order();
  std::size_t length = kFirstRound;
  for (std::size_t start = 0; start < order.size(); start += length, length = std::min(2 * length, kLongestRound)) {
    const std::size_t count = std::min(length, order.size() - start);
    std::vector<double> cuts;
    for (std::size_t i = 0; i < count; ++i) cuts.push_back(cut_for(order[start + i]));
    const auto work = [&](std::size_t i) { return evaluate_group(order[start + i], cuts[i]); };
    const std::vector<std::string> texts = executor_.map(count, work);
    for (std::size_t i = 0; i < count; ++i) take_group(order[start + i], json::parse(texts[i]));
  }
}

/// `found`: outcomes by candidate, null where the time ended first.
void PlanSearch::take_group(std::size_t index, const json& found) {
  const PlanGroup& group = space_.groups[index];
  bool finished = true;
  for (std::size_t k = 0; k < group.count; ++k) {
    CandidateOutcome& outcome = answer_.outcomes[group.first + k];
    if (outcome.rejection != Rejection::kNone) continue;
    if (found[k].is_null()) {
      outcome = rejected(Rejection::kUnfinished, "not simulated: the time budget ended first");
      answer_.exhausted = finished = false;
      continue;
    }
    outcome = CandidateOutcome::from_text(found[k].get<std::string>());
    if (outcome.rejection != Rejection::kCostBound) ++answer_.simulated;
  }
  if (finished) workshop_.tell_finished(index);
}

std::string PlanSearch::evaluate_group(std::size_t index, double cut) {
  const PlanGroup& group = space_.groups[index];
  const PlanLadder ladder(space_, group, group.pools ? 1 : 0);
  json out = json::array();
  double limit = cut;
  bool finished = true;
  for (std::size_t i = 0; i < group.count; ++i) {
    const std::size_t candidate = group.first + i;
    out.push_back(nullptr);
    if (screened_[candidate].outcome.rejection != Rejection::kNone) continue;
    const std::optional<std::string> text = evaluate(candidate, ladder, limit);
    // What comes after depends on it.
    if (!(finished = text.has_value())) break;
    const CandidateOutcome outcome = CandidateOutcome::from_text(*text);
    if (outcome.plan) limit = std::min(limit, outcome.plan->price.usd_per_hour * space_.search.pareto_up_to);
    out.back() = *text;
  }
  while (out.size() < group.count) out.push_back(nullptr);
  workshop_.forget(index);
  if (finished) workshop_.tell_finished(index);
  return out.dump();
}

/// The outcome as text, from the journal where it is there; nothing when the time has ended.
std::optional<std::string> PlanSearch::evaluate(std::size_t candidate, const PlanLadder& ladder, double cut) {
  const std::string key = fmt::format("{} below {}", space_.candidates[candidate].id, cut);
  if (options_.journal != nullptr) {
    if (auto stored = options_.journal->find(key)) return stored;
  }
  if (workshop_.out_of_time()) return std::nullopt;
  std::string text;
  try {
    text = candidates_.find(candidate, screened_[candidate], ladder, cut).to_text();
  } catch (const OutOfTime&) {
    return std::nullopt;
  }
  if (options_.journal != nullptr) options_.journal->append(key, text);
  return text;
}

/// The best plan's pools in its scenario, whose deployment is the decode pool.
void PlanSearch::place_pools(std::size_t index, const PlanSize& size, Scenario& scenario) const {
  const PlanGroup& group = space_.groups[index];
  const auto prices = scenario.disaggregation->cost;
  scenario.disaggregation = group.pools;
  DisaggregationSpec& spec = *scenario.disaggregation;
  spec.cost = prices;
  spec.prefill = workshop_.prefill_config(index);
  spec.prefill_replicas = size.prefill.serving;
  spec.spare_gpus = size.prefill.spare_gpus;
  const bool own = spec.own_cluster;
  spec.prefill.cluster.nodes = own ? size.prefill.nodes : size.nodes;
  spec.prefill.cluster.gpus = own ? size.prefill.gpus : size.gpus;
  if (!own) return;
  scenario.deployment.cluster.nodes = size.nodes - size.prefill.nodes;
  scenario.deployment.cluster.gpus = size.gpus - size.prefill.gpus;
}

void PlanSearch::describe_best() {
  answer_.scenario = space_.bases.front().scenario;
  if (!answer_.best) return;
  const PlanCandidate& candidate = space_.candidates[*answer_.best];
  const PlanGroup& group = space_.groups[candidate.group];
  const PlanFigures& plan = *answer_.outcomes[*answer_.best].plan;
  Scenario& scenario = answer_.scenario;
  scenario = workshop_.base(group);
  scenario.deployment = workshop_.candidate_config(*answer_.best);
  scenario.deployment.cluster.nodes = plan.size.nodes;
  scenario.deployment.cluster.gpus = plan.size.gpus;
  scenario.replicas = plan.size.serving;
  scenario.spare_gpus = plan.size.spare_gpus;
  if (group.pools) place_pools(candidate.group, plan.size, scenario);
  scenario.workload = workshop_.question(group).workload;
  scenario.workload.requests = plan.requests;
  const SupportAnswer support = check_support(scenario.deployment.engine, scenario.deployment.cluster.gpu, engine_use(scenario.deployment));
  scenario.warnings.insert(scenario.warnings.end(), support.warnings.begin(), support.warnings.end());
  // Fitted as for all of the group, with the batch limits of its first candidate.
  Scenario first = workshop_.base(group);
  first.disaggregation.reset();
  first.deployment = group.config;
  answer_.anchors = workshop_.fit_anchors_of(candidate.group, first);
  if (answer_.anchors) scenario.files.push_back(options_.anchors);
  try {
    find_headroom(group, plan);
  } catch (const OutOfTime&) {
    if (!answer_.headroom) answer_.not_assessed.push_back("headroom");
    answer_.not_assessed.push_back("assumptions");
  }
}

void PlanSearch::find_headroom(const PlanGroup& group, const PlanFigures& plan) {
  check_time(options_.out_of_time);
  const Scenario& scenario = answer_.scenario;
  const PlanLoads loads{workshop_.base(group), options_.out_of_time, options_.journal, fmt::format("{} {} headroom", space_.candidates[*answer_.best].id, replicas_text(plan.size))};
  const CandidateReplica replica(workshop_, *answer_.best, scenario.deployment);
  answer_.headroom = plan_headroom(space_, loads, replica.get(), plan, workshop_.factors());
  const auto slower = [&](DeploymentConfig config) {
    config.engine.kernel_multiplier *= kSlowKernels;
    return config;
  };
  const Deployment slow(slower(scenario.deployment), workshop_.shared());
  std::optional<Deployment> slow_prefill;
  if (scenario.disaggregation) slow_prefill.emplace(slower(scenario.disaggregation->prefill), workshop_.shared());
  const CandidateReplica slow_replica(replica, slow, slow_prefill ? &*slow_prefill : nullptr);
  answer_.headroom->assumptions = tested_assumptions(loads, replica.get(), slow_replica.get(), plan, workshop_.factors().peak);
}

PlanAnswer PlanSearch::run() {
  screened_ = screen_plan(workshop_, executor_, options_.journal);
  for (const Screened& s : screened_) {
    answer_.outcomes.push_back(s.outcome);
    answer_.exhausted = answer_.exhausted && s.outcome.rejection != Rejection::kUnfinished;
  }
  simulate_rounds();
  choose_plans(space_, answer_);
  describe_best();
  return std::move(answer_);
}

}  // namespace

PlanQuestion plan_question(const Scenario& base, double factor, TimeIsOver out_of_time) {
  PlanQuestion question;
  question.out_of_time = std::move(out_of_time);
  question.workload = base.workload.arrivals.process == ArrivalProcess::kBatch ? base.workload : past_first_burst(scaled_workload(base.workload, factor));
  question.objectives = all_objectives(base);
  question.router = base.router;
  question.seed = base.seed;
  const bool throughput = std::any_of(question.objectives.begin(), question.objectives.end(), [](const Objective& o) { return o.kind != ObjectiveKind::kLatency; });
  if (throughput) question.lengths = long_run_lengths(base.workload, base.seed);
  return question;
}

PlanAnswer search_plan(const PlanSpace& space, const DataRoot& data, const PlanOptions& options) {
  ThreadExecutor threads(0);
  return PlanSearch(space, data, options, options.executor != nullptr ? *options.executor : threads).run();
}

}  // namespace moeplan
