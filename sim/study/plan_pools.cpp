#include "study/plan_pools.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "base/error.hpp"

namespace moeplan {

namespace {

class PoolsSearch {
 public:
  PoolsSearch(const PlanSpace& space, const PlanGroup& group, const PlanQuestion& question, const PlanReplica& replica, PlanCounts first, double most_usd)
      : space_(space), group_(group), question_(question), replica_(replica), first_(first), most_usd_(most_usd) {}

  PoolsFound find() {
    const auto start = any_that_does();
    if (!start) return std::move(found_);
    narrow(*start);
    walk();
    return std::move(found_);
  }

 private:
  /// Pairs are run once.
  const PlanRun& run(PlanCounts counts) {
    const auto [at, fresh] = runs_.try_emplace({counts.prefill, counts.serving});
    if (fresh) at->second = run_plan(question_, replica_, counts);
    return at->second;
  }

  /// A pair of this price is of interest: cheaper than the best, or within `most_usd` while there is none.
  [[nodiscard]] bool of_interest(double usd) const { return found_.size ? usd < best_usd_ : usd <= most_usd_; }

  /// The highest rung of interest, 0 for none.
  [[nodiscard]] int last_rung(const PlanLadder& ladder) const {
    int last = ladder.last_within(found_.size ? best_usd_ : most_usd_);
    while (last > 0 && !of_interest(ladder.price(last, {}).usd_per_hour)) --last;
    return last;
  }

  [[nodiscard]] int most_serving() const {
    const PlanLadder ladder(space_, group_, first_.prefill);
    const int last = last_rung(ladder);
    return last > 0 ? ladder.size(last).serving : 0;
  }

  [[nodiscard]] int most_prefill() const {
    const auto fits = [&](int prefill) {
      const PlanLadder ladder(space_, group_, prefill);
      const int rung = ladder.rung_of(first_.serving);
      return rung <= ladder.rungs() && of_interest(ladder.price(rung, {}).usd_per_hour);
    };
    int low = first_.prefill;
    int step = 1;
    while (fits(low + step)) {
      low += step;
      step *= 2;
    }
    for (; step > 1; step /= 2) {
      if (fits(low + step / 2)) low += step / 2;
    }
    return low;
  }

  void consider(const PlanLadder& ladder, int rung, const PlanRun& run) {
    const PlanSize size = ladder.size(rung);
    const double usd = ladder.price(rung, {run.utilisation, run.prefill_utilisation}).usd_per_hour;
    if (found_.size && usd >= best_usd_) return;
    found_.size = size;
    found_.tried = {size.serving, size.prefill.serving};
    found_.run = run;
    best_usd_ = usd;
  }

  /// Both pools grow together until some pair does; it may lie beyond what is of interest. Nothing when not even the most of both do.
  std::optional<PlanCounts> any_that_does() {
    const PlanCounts corner(std::max(first_.serving, most_serving()), std::max(first_.prefill, most_prefill()));
    for (int factor = 1;; factor *= 2) {
      const auto grown = [&](int from, int most) { return from > most / factor ? most : from * factor; };
      const PlanCounts counts(grown(first_.serving, corner.serving), grown(first_.prefill, corner.prefill));
      const PlanRun& tried = run(counts);
      if (tried.met) return counts;
      found_.run = tried;
      found_.tried = counts;
      if ((counts.serving == corner.serving && counts.prefill == corner.prefill) || tried.failing == "kv_cache") return std::nullopt;
    }
  }

  /// Fewest of each kind that do with any number of the other that is of interest.
  void narrow(PlanCounts start) {
    const PlanLadder ladder(space_, group_, start.prefill);
    const int rung = ladder.rung_of(start.serving);
    if (rung <= ladder.rungs() && of_interest(ladder.price(rung, {}).usd_per_hour)) {
      const PlanSize size = ladder.size(rung);
      const PlanRun& known = run({size.serving, size.prefill.serving});
      if (known.met) consider(ladder, rung, known);
    }
    const PlanCounts most(std::max(start.serving, most_serving()), std::max(start.prefill, most_prefill()));
    const auto serving = smallest_plan([&](int n) { return run({n, most.prefill}); }, first_.serving, start.serving);
    const auto prefill = smallest_plan([&](int n) { return run({most.serving, n}); }, first_.prefill, start.prefill);
    first_ = PlanCounts(serving.rung.value_or(start.serving), prefill.rung.value_or(start.prefill));
  }

  void walk() {
    int most = kMostPlanGpus;  // decode replicas that were enough beside fewer prefill replicas
    for (int prefill = first_.prefill;; ++prefill) {
      const PlanLadder ladder(space_, group_, prefill);
      const int low = ladder.rung_of(first_.serving);
      const int last = std::min(last_rung(ladder), ladder.rung_of(most));
      if (low > ladder.rungs() || !of_interest(ladder.price(low, {}).usd_per_hour)) return;
      if (last < low) continue;
      const auto run_rung = [&](int rung) -> const PlanRun& { return run({ladder.size(rung).serving, prefill}); };
      if (const PlanRun& largest = run_rung(last); !largest.met) {
        if (!found_.size) note({ladder.size(last).serving, prefill}, largest);
        continue;
      }
      const SmallestPlan least = smallest_plan(run_rung, low, last);
      if (!least.rung) continue;
      most = ladder.size(*least.rung).serving;
      consider(ladder, *least.rung, least.run);
      if (most == first_.serving) return;
    }
  }

  void note(PlanCounts counts, const PlanRun& run) {
    found_.tried = counts;
    found_.run = run;
  }

  const PlanSpace& space_;
  const PlanGroup& group_;
  const PlanQuestion& question_;
  const PlanReplica& replica_;
  PlanCounts first_;
  double most_usd_;
  double best_usd_ = 0;
  std::map<std::pair<int, int>, PlanRun> runs_;
  PoolsFound found_;
};

}  // namespace

PoolsFound cheapest_pools(const PlanSpace& space, const PlanGroup& group, const PlanQuestion& question, const PlanReplica& replica, PlanCounts first, double most_usd) {
  return PoolsSearch(space, group, question, replica, first, most_usd).find();
}

}  // namespace moeplan
