#include "study/plan_candidate.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "study/plan_headroom.hpp"
#include "study/plan_pools.hpp"
#include "study/steady_load.hpp"

namespace moeplan {

namespace {

constexpr double kNoCut = std::numeric_limits<double>::infinity();

}  // namespace

bool CandidateSearch::maintained_off_peak() const {
  const ReliabilityConfig& r = space_.search.reliability;
  return r.maintenance_off_peak && r.maintenance_nodes > 0 && workshop_.factors().trough > 0;
}

/// Replicas that bear the calmest hour; those of both pools in the proportion of the plan.
PlanCounts CandidateSearch::fewest_when_calm(const PlanGroup& group, const PlanReplica& replica, const PlanSize& size) const {
  const PlanQuestion calm = PlanLoads{workshop_.base(group), workshop_.question(group).out_of_time}.at_less(workshop_.factors().trough);
  const PlanProportion counts(size);
  const SmallestPlan least = smallest_plan(calm, replica, counts, 1, counts.most());
  return least.rung ? counts(*least.rung) : PlanCounts(size.serving, size.prefill.serving);
}

/// The plan of a size that does at the peak, made to bear maintenance in the calmest hour, too.
CandidateOutcome CandidateSearch::concluded(const PlanGroup& group, const PlanReplica& replica, const PlanLadder& ladder, PlanSize size, const PlanRun& run, double cut) const {
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
  const PlanQuestion& question = workshop_.question(group);
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
  plan.factor = question.workload.arrivals.process == ArrivalProcess::kBatch ? 1 : workshop_.factors().peak;
  plan.served = served_rates(question.workload, workshop_.lengths(), run.throughput, run.all_served);
  plan.at_mean = at_mean_load(group, replica, plan);
  return outcome;
}

/// With all replicas up: what is bought for the busiest hour and for failures serves in every other hour, too.
std::optional<PlanAtLoad> CandidateSearch::at_mean_load(const PlanGroup& group, const PlanReplica& replica, const PlanFigures& plan) const {
  const Scenario& base = workshop_.base(group);
  const double factor = workshop_.factors().period_mean;
  if (base.workload.arrivals.process == ArrivalProcess::kBatch || !(factor > 0)) return std::nullopt;
  const PoolSize& prefill = plan.size.prefill;
  if (factor == plan.factor && plan.size.spare + prefill.spare == 0) return plan.as_sized();
  PlanQuestion question = plan_question(base, factor, workshop_.question(group).out_of_time);
  question.objectives.clear();  // no run is given up
  const PlanRun run = run_plan(question, replica, {plan.size.serving + plan.size.spare, prefill.serving + prefill.spare});
  const PlanSize up = with_spares_up(plan.size, replica.config.layout.gpus(), replica.prefill != nullptr ? replica.prefill->config.layout.gpus() : 0);
  PlanAtLoad at;
  at.factor = factor;
  // The idle edges of a run weigh more in the shorter one at the sized load; less load does not keep GPUs busier.
  const bool less = factor <= plan.factor;
  at.utilisation = less ? std::min(run.utilisation, plan.utilisation) : run.utilisation;
  at.prefill_utilisation = less ? std::min(run.prefill_utilisation, plan.prefill_utilisation) : run.prefill_utilisation;
  at.served = served_rates(question.workload, workshop_.lengths(), run.throughput, run.all_served);
  at.price = price_plan(base, up, {at.utilisation, at.prefill_utilisation});
  return at;
}

CandidateOutcome CandidateSearch::find_pools(const PlanGroup& group, const PlanReplica& replica, const Screened& s, double cut) const {
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
                    found.run.failing, found.run.miss);
  }
  return concluded(group, replica, smallest, *found.size, found.run, cut);
}

CandidateOutcome CandidateSearch::find(std::size_t candidate, const Screened& s, const PlanLadder& ladder, double cut) const {
  const std::size_t index = space_.candidates[candidate].group;
  const PlanGroup& group = space_.groups[index];
  if (group.pools) {
    const CandidateReplica replica(workshop_, candidate, workshop_.candidate_config(candidate));
    return find_pools(group, replica.get(), s, cut);
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
                    found.run.failing, found.run.miss);
  }
  return concluded(group, replica, ladder, ladder.size(*found.rung), found.run, cut);
}

}  // namespace moeplan
