#include "study/plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "study/plan_headroom.hpp"
#include "study/plan_journal.hpp"
#include "study/plan_pools.hpp"
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
  CandidateOutcome evaluate(std::size_t candidate, const PlanLadder& ladder, double cut);
  CandidateOutcome evaluate_pools(const PlanGroup& group, const PlanReplica& replica, const Screened& s, double cut) const;
  CandidateOutcome concluded(const PlanGroup& group, const PlanReplica& replica, const PlanLadder& ladder, PlanSize size, const PlanRun& run, double cut) const;
  [[nodiscard]] bool maintained_off_peak() const;
  [[nodiscard]] PlanCounts fewest_when_calm(const PlanGroup& group, const PlanReplica& replica, const PlanSize& size) const;
  [[nodiscard]] double cut_for(std::size_t group) const;
  void place_pools(std::size_t group, const PlanSize& size, Scenario& scenario) const;
  void describe_best();

  const PlanSpace& space_;
  const PlanOptions& options_;
  PlanExecutor& executor_;
  PlanWorkshop workshop_;
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
    for (std::size_t i = 0; i < count; ++i) {
      const PlanGroup& group = space_.groups[order[start + i]];
      const json found = texts[i].empty() ? json() : json::parse(texts[i]);
      if (!found.is_null()) workshop_.tell_finished(order[start + i]);
      for (std::size_t k = 0; k < group.count; ++k) {
        CandidateOutcome& outcome = answer_.outcomes[group.first + k];
        if (outcome.rejection != Rejection::kNone) continue;
        if (found.is_null()) {
          outcome = rejected(Rejection::kUnfinished, "not simulated: the time budget ended first");
          answer_.exhausted = false;
          continue;
        }
        outcome = CandidateOutcome::from_text(found[k].get<std::string>());
        if (outcome.rejection != Rejection::kCostBound) ++answer_.simulated;
      }
    }
  }
}

std::string PlanSearch::evaluate_group(std::size_t index, double cut) {
  const PlanGroup& group = space_.groups[index];
  const std::string key = fmt::format("{} below {}", group.id, cut);
  if (options_.journal != nullptr) {
    if (const auto stored = options_.journal->find(key)) {
      workshop_.tell_finished(index);
      return *stored;
    }
  }
  if (workshop_.out_of_time()) return {};
  const PlanLadder ladder(space_, group, group.pools ? 1 : 0);
  json out = json::array();
  double limit = cut;
  for (std::size_t i = 0; i < group.count; ++i) {
    const std::size_t candidate = group.first + i;
    if (screened_[candidate].outcome.rejection != Rejection::kNone) {
      out.push_back("");
      continue;
    }
    const CandidateOutcome outcome = evaluate(candidate, ladder, limit);
    if (outcome.plan) limit = std::min(limit, outcome.plan->price.usd_per_hour * space_.search.pareto_up_to);
    out.push_back(outcome.to_text());
  }
  workshop_.forget(index);
  const std::string text = out.dump();
  if (options_.journal != nullptr) options_.journal->append(key, text);
  workshop_.tell_finished(index);
  return text;
}

bool PlanSearch::maintained_off_peak() const {
  const ReliabilityConfig& r = space_.search.reliability;
  return r.maintenance_off_peak && r.maintenance_nodes > 0 && workshop_.factors().trough > 0;
}

/// Replicas that bear the calmest hour; those of both pools in the proportion of the plan.
PlanCounts PlanSearch::fewest_when_calm(const PlanGroup& group, const PlanReplica& replica, const PlanSize& size) const {
  const PlanQuestion calm = plan_question(workshop_.base(group), workshop_.factors().trough);
  const PlanProportion counts(size);
  const SmallestPlan least = smallest_plan(calm, replica, counts, 1, counts.most());
  return least.rung ? counts(*least.rung) : PlanCounts(size.serving, size.prefill.serving);
}

/// The plan of a size that does at the peak, made to bear maintenance in the calmest hour, too.
CandidateOutcome PlanSearch::concluded(const PlanGroup& group, const PlanReplica& replica, const PlanLadder& ladder, PlanSize size, const PlanRun& run, double cut) const {
  if (maintained_off_peak()) {
    size = ladder.off_peak(size, fewest_when_calm(group, replica, size));
    const double usd = price_plan(workshop_.base(group), size, {}).usd_per_hour;
    if (usd > cut) {
      return rejected(Rejection::kCostBound, fmt::format("{} do, with nodes in maintenance in the calmest hour, for {:.2f} USD/h or more, beyond {:.2f}, for which plans are known",
                                                         replicas_text(size), usd, cut));
    }
    if (const std::string beyond = ladder.beyond_limits(size); !beyond.empty()) {
      return rejected(Rejection::kLimit, fmt::format("{} do at the peak; with enough of them for nodes in maintenance in the calmest hour, {}", replicas_text(size), beyond));
    }
  }
  CandidateOutcome outcome;
  PlanFigures& plan = outcome.plan.emplace();
  plan.size = size;
  plan.price = price_plan(workshop_.base(group), size, {run.utilisation, run.prefill_utilisation});
  plan.requests = run.requests;
  plan.short_window = run.short_window;
  plan.latency = run.latency;
  plan.throughput = run.throughput;
  plan.utilisation = run.utilisation;
  plan.prefill_utilisation = run.prefill_utilisation;
  for (const ObjectiveResult& o : run.objectives) plan.objectives.push_back(o.value.value_or(0));
  return outcome;
}

CandidateOutcome PlanSearch::evaluate_pools(const PlanGroup& group, const PlanReplica& replica, const Screened& s, double cut) const {
  const PlanLadder smallest(space_, group, s.prefill);
  if (s.least_usd > cut) {
    return rejected(Rejection::kCostBound, fmt::format("needs at least {}: {:.2f} USD/h or more, beyond {:.2f}, for which plans are known",
                                                       replicas_text(smallest.size(s.first)), s.least_usd, cut));
  }
  const PoolsFound found = cheapest_pools(space_, group, workshop_.question(group), replica, {smallest.size(s.first).serving, s.prefill}, cut);
  if (!found.size) {
    return rejected(found.run.failing == "saturated" ? Rejection::kSaturated : Rejection::kObjective,
                    fmt::format("{} with {} prefill and {} decode replicas; {}", found.run.problem, found.tried.prefill, found.tried.serving,
                                cut < kNoCut ? fmt::format("more would cost over {:.2f} USD/h", cut) : smallest.limit()),
                    found.run.failing);
  }
  return concluded(group, replica, smallest, *found.size, found.run, cut);
}

CandidateOutcome PlanSearch::evaluate(std::size_t candidate, const PlanLadder& ladder, double cut) {
  const std::size_t index = space_.candidates[candidate].group;
  const PlanGroup& group = space_.groups[index];
  const Screened& s = screened_[candidate];
  if (group.pools) {
    const CandidateReplica replica(workshop_, candidate, workshop_.candidate_config(candidate));
    return evaluate_pools(group, replica.get(), s, cut);
  }
  int last = ladder.rungs();
  const bool within_cut = ladder.price(last, {}).usd_per_hour <= cut;
  if (!within_cut) last = std::max(s.first - 1, ladder.last_within(cut));
  if (last < s.first) {
    return rejected(Rejection::kCostBound, fmt::format("needs at least {}: {:.2f} USD/h or more, beyond {:.2f}, for which plans are known",
                                                       replicas_text(ladder.size(s.first)), s.least_usd, cut));
  }
  const CandidateReplica own(workshop_, candidate, workshop_.candidate_config(candidate));
  const PlanReplica replica = own.get();
  const PlanQuestion& question = workshop_.question(group);
  const auto replicas_of = [&](int rung) { return ladder.size(rung).serving; };
  SmallestPlan found;
  // Where others are known to do, most candidates are done with by one look at the largest size of interest.
  if (!within_cut && last > s.first) found.run = run_plan(question, replica, replicas_of(last));
  const bool hopeless = !within_cut && last > s.first && !found.run.met;
  if (!hopeless) found = smallest_plan(question, replica, replicas_of, s.first, last);
  if (!found.rung) {
    const std::string beyond = within_cut ? ladder.limit() : fmt::format("more would cost over {:.2f} USD/h", cut);
    return rejected(found.run.failing == "saturated" ? Rejection::kSaturated : Rejection::kObjective,
                    fmt::format("{} with {}, {:.2f} USD/h; {}", found.run.problem, replicas_text(ladder.size(last)), ladder.price(last, {}).usd_per_hour, beyond),
                    found.run.failing);
  }
  return concluded(group, replica, ladder, ladder.size(*found.rung), found.run, cut);
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
  const CandidateReplica replica(workshop_, *answer_.best, scenario.deployment);
  answer_.headroom = plan_headroom(space_, workshop_.base(group), replica.get(), plan, workshop_.factors());
  const auto slower = [&](DeploymentConfig config) {
    config.engine.kernel_multiplier *= kSlowKernels;
    return config;
  };
  const Deployment slow(slower(scenario.deployment), workshop_.shared());
  std::optional<Deployment> slow_prefill;
  if (scenario.disaggregation) slow_prefill.emplace(slower(scenario.disaggregation->prefill), workshop_.shared());
  const CandidateReplica slow_replica(replica, slow, slow_prefill ? &*slow_prefill : nullptr);
  add_assumptions(workshop_.base(group), replica.get(), slow_replica.get(), plan, workshop_.factors().peak, *answer_.headroom);
}

PlanAnswer PlanSearch::run() {
  screened_ = screen_plan(workshop_, executor_);
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

PlanQuestion plan_question(const Scenario& base, double factor) {
  PlanQuestion question;
  question.workload = base.workload.arrivals.process == ArrivalProcess::kBatch ? base.workload : scaled_workload(base.workload, factor);
  question.objectives = all_objectives(base);
  question.router = base.router;
  question.seed = base.seed;
  return question;
}

PlanAnswer search_plan(const PlanSpace& space, const DataRoot& data, const PlanOptions& options) {
  ThreadExecutor threads(0);
  return PlanSearch(space, data, options, options.executor != nullptr ? *options.executor : threads).run();
}

}  // namespace moeplan
