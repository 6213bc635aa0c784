#include "study/plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

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
  CandidateOutcome evaluate(std::size_t candidate, const PlanLadder& ladder, double cut);
  static PlanFigures figures(const PlanLadder& ladder, int rung, const PlanRun& run);
  std::optional<int> off_peak_rung(const PlanReplica& replica, const PlanGroup& group, const PlanLadder& ladder, int rung, int last) const;
  [[nodiscard]] double cut_for(std::size_t group) const;
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

/// What a candidate may cost at most to be of interest: the front reaches up to a multiple of the cheapest plan, and of every model on every GPU the
/// cheapest plan is wanted.
double PlanSearch::cut_for(std::size_t index) const {
  const PlanGroup& group = space_.groups[index];
  const auto same_choice = [&](const PlanGroup& g) {
    return g.config.model.id == group.config.model.id && g.config.cluster.gpu.id == group.config.cluster.gpu.id;
  };
  double cheapest = kNoCut;
  double of_choice = kNoCut;
  for (std::size_t i = 0; i < answer_.outcomes.size(); ++i) {
    const CandidateOutcome& o = answer_.outcomes[i];
    if (!o.plan) continue;
    cheapest = std::min(cheapest, o.plan->price.usd_per_hour);
    if (same_choice(space_.groups[space_.candidates[i].group])) of_choice = std::min(of_choice, o.plan->price.usd_per_hour);
  }
  return std::max(cheapest * space_.search.pareto_up_to, of_choice);
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
  const PlanLadder ladder(space_, group);
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

PlanFigures PlanSearch::figures(const PlanLadder& ladder, int rung, const PlanRun& run) {
  PlanFigures plan;
  plan.size = ladder.size(rung);
  plan.price = ladder.price(rung, run.utilisation);
  plan.requests = run.requests;
  plan.short_window = run.short_window;
  plan.latency = run.latency;
  plan.throughput = run.throughput;
  plan.utilisation = run.utilisation;
  for (const ObjectiveResult& o : run.objectives) plan.objectives.push_back(o.value.value_or(0));
  return plan;
}

/// The lowest rung from `rung` on that also bears the calmest hour with nodes in maintenance beside the spare ones; nothing up to `last`.
std::optional<int> PlanSearch::off_peak_rung(const PlanReplica& replica, const PlanGroup& group, const PlanLadder& ladder, int rung, int last) const {
  const ReliabilityConfig& r = space_.search.reliability;
  if (!r.maintenance_off_peak || r.maintenance_nodes == 0 || !(workshop_.factors().trough > 0)) return rung;
  const PlanQuestion calm = plan_question(workshop_.base(group), workshop_.factors().trough);
  const SmallestPlan least = smallest_plan(calm, replica, [](int n) { return n; }, 1, std::max(1, ladder.size(last).serving));
  if (!least.rung) return std::nullopt;
  const ReplicaPacking packing = pack_replicas(group.config.layout.gpus(), group.config.cluster.node.gpus);
  for (int i = rung; i <= last; ++i) {
    const PlanSize size = ladder.size(i);
    const int all = size.serving + size.spare;
    if (all - (r.spare_nodes + r.maintenance_nodes) * std::min(packing.replicas_per_node, all) >= *least.rung) return i;
  }
  return std::nullopt;
}

CandidateOutcome PlanSearch::evaluate(std::size_t candidate, const PlanLadder& ladder, double cut) {
  const std::size_t index = space_.candidates[candidate].group;
  const PlanGroup& group = space_.groups[index];
  const Screened& s = screened_[candidate];
  int last = ladder.rungs();
  const bool within_cut = ladder.price(last, 0).usd_per_hour <= cut;
  for (int low = s.first - 1; !within_cut && low < last;) {
    const int middle = low + (last - low + 1) / 2;
    if (ladder.price(middle, 0).usd_per_hour <= cut) {
      low = middle;
    } else {
      last = middle - 1;
    }
  }
  if (last < s.first) {
    return rejected(Rejection::kCostBound, fmt::format("needs at least {}: {:.2f} USD/h or more, beyond {:.2f}, for which plans are known",
                                                       replicas_text(ladder.size(s.first)), s.least_usd, cut));
  }
  const DeploymentConfig config = workshop_.candidate_config(candidate);
  const MemoryPlan memory = plan_deployment_memory(config).plan;
  const PlanReplica replica{config, memory, workshop_.deployment(index).cost()};
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
                    fmt::format("{} with {}, {:.2f} USD/h; {}", found.run.problem, replicas_text(ladder.size(last)), ladder.price(last, 0).usd_per_hour, beyond),
                    found.run.failing);
  }
  const auto rung = off_peak_rung(replica, group, ladder, *found.rung, last);
  if (!rung) return rejected(Rejection::kLimit, fmt::format("{} do at the peak, but leave too few in the calmest hour while nodes are in maintenance; {}", replicas_text(ladder.size(*found.rung)), ladder.limit()));
  CandidateOutcome outcome;
  if (*rung > *found.rung) found.run = run_plan(question, replica, replicas_of(*rung));
  if (!found.run.met) return rejected(Rejection::kObjective, fmt::format("{} with {}", found.run.problem, replicas_text(ladder.size(*rung))), found.run.failing);
  outcome.plan = figures(ladder, *rung, found.run);
  return outcome;
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
  scenario.workload = workshop_.question(group).workload;
  scenario.workload.requests = plan.requests;
  const SupportAnswer support = check_support(scenario.deployment.engine, scenario.deployment.cluster.gpu, engine_use(scenario.deployment));
  scenario.warnings.insert(scenario.warnings.end(), support.warnings.begin(), support.warnings.end());
  // Fitted as for all of the group, with the batch limits of its first candidate.
  Scenario first = workshop_.base(group);
  first.deployment = group.config;
  answer_.anchors = workshop_.fit_anchors_of(candidate.group, first);
  if (answer_.anchors) scenario.files.push_back(options_.anchors);
  const MemoryPlan memory = plan_deployment_memory(scenario.deployment).plan;
  const PlanReplica replica{scenario.deployment, memory, workshop_.deployment(candidate.group).cost()};
  answer_.headroom = plan_headroom(space_, workshop_.base(group), replica, plan, workshop_.factors());
  DeploymentConfig slower = scenario.deployment;
  slower.engine.kernel_multiplier *= kSlowKernels;
  const Deployment slow(slower, workshop_.shared());
  add_assumptions(workshop_.base(group), replica, {slower, memory, slow.cost()}, plan, workshop_.factors().peak, *answer_.headroom);
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
  question.objectives = base.objectives;
  question.router = base.router;
  question.seed = base.seed;
  return question;
}

PlanAnswer search_plan(const PlanSpace& space, const DataRoot& data, const PlanOptions& options) {
  ThreadExecutor threads(0);
  return PlanSearch(space, data, options, options.executor != nullptr ? *options.executor : threads).run();
}

}  // namespace moeplan
