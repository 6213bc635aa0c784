// The search for the cheapest deployment that meets its objectives: lays out the space, screens it, simulates what is left, from the lowest cost bound
// upwards, and stops simulating a candidate where it would cost more than what is known to do.
//
// Branch and bound goes in rounds whose lengths do not depend on who computes: within a round nobody looks at what the others find, so that the answer
// is the same bytes on any number of threads and processes, and after any interruption.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "study/plan_evaluate.hpp"
#include "study/plan_executor.hpp"
#include "study/plan_ladder.hpp"
#include "study/plan_outages.hpp"
#include "study/plan_outcome.hpp"
#include "study/plan_space.hpp"

namespace moeplan {

class PlanJournal;

/// Told of finished groups, from any thread; of some more than once.
class PlanStatus {
 public:
  virtual ~PlanStatus() = default;
  virtual void finished(const std::string& /*group id*/, std::size_t /*candidates*/) {}
};

struct PlanOptions {
  PlanExecutor* executor = nullptr;        ///< null: threads, all cores
  PlanJournal* journal = nullptr;          ///< null: none
  PlanStatus* status = nullptr;            ///< null: nobody
  TimeIsOver out_of_time;                  ///< asked before each group and within runs
  std::filesystem::path anchors;           ///< measured runs that correct the engines of matching candidates; empty: none
};

/// What the chosen plan does when the load or the machines are not as it was sized for.
struct PlanHeadroom {
  std::optional<double> load_share;  ///< more load that it bears with all replicas up, as a share of the load it is sized for; nothing for a batch, which is
                                     ///< all there at once
  bool load_share_is_bound = false;  ///< it bears at least that
  std::optional<double> throughput_share;  ///< of a batch: how much more it does than the throughput objective that is met most closely asks, as a share of that
  int replicas_at_mean = 0;          ///< fewest for the mean load of the last month; 0 where that is the load it is sized for
  struct Month {
    int month = 0;
    double factor = 1;  ///< busiest hour, on the workload's load
    int replicas = 0;
  };
  std::vector<Month> months;          ///< only for a load that changes
  std::optional<PlanFigures> all_up;  ///< with the spares serving, too; only where there are spares
  /// What it would take if an assumption were wrong, dearest first.
  struct Assumption {
    std::string text;         ///< "kernels 15 % slower than modelled"
    int replicas = 0;         ///< serving replicas then; 0: no number of them up to twice as many
  };
  std::vector<Assumption> assumptions;
  std::optional<Outages> outages;     ///< only where reliability is stated
};

struct PlanAnswer {
  std::vector<CandidateOutcome> outcomes;  ///< by candidate
  std::optional<std::size_t> best;
  std::vector<std::size_t> pareto;  ///< rising cost; the best is the first
  std::size_t simulated = 0;        ///< candidates of which at least one size was simulated
  bool exhausted = true;
  LoadFactors factors;
  Scenario scenario;                ///< of the best plan, sized and with the load it is sized for; without one the starting point
  std::optional<AnchorFit> anchors;  ///< of the best plan
  std::optional<PlanHeadroom> headroom;
  std::vector<std::string> not_assessed;  ///< of headroom and assumptions, what the time did not suffice for
};

/// Searches. The same space and anchors give the same answer whatever the executor; `out_of_time` alone can cut it short. Throws InputError when no row of the
/// anchors matches any candidate.
PlanAnswer search_plan(const PlanSpace& space, const DataRoot& data, const PlanOptions& options);

/// The figures that plans are compared by: lower is better in each. Throughput counts negative; all but the cost in steps of one per cent, so that noise
/// decides no comparison. Power that is not known of both plans is not compared.
struct ParetoPoint {
  double usd_per_hour = 0, tightest_objective = 0, minus_throughput = 0;
  std::optional<double> watts{};
  [[nodiscard]] bool dominates(const ParetoPoint& other) const;
  bool operator==(const ParetoPoint&) const = default;
};
/// `objectives` of the plan's scenario.
ParetoPoint pareto_point(const PlanFigures& plan, const std::vector<Objective>& objectives);

/// How near a plan comes to its objectives: the largest value / bound of a latency; the end-to-end median, in seconds, where no latency is bounded.
double tightest_objective(const PlanFigures& plan, const std::vector<Objective>& objectives);

/// The order of plans, best first: cost; of equally cheap ones how near they come to their objectives; then more output tokens per second; then less power
/// (unknown power last); then the order of the space.
std::tuple<double, double, double, double, std::size_t> plan_rank(const PlanSpace& space, const PlanAnswer& answer, std::size_t candidate);

/// Picks the best plan and the front among the plans of `answer.outcomes`; the other plans become rejections.
void choose_plans(const PlanSpace& space, PlanAnswer& answer);

/// The question that a base's candidates are asked, at `factor` times the workload's load.
PlanQuestion plan_question(const Scenario& base, double factor, TimeIsOver out_of_time = {});

}  // namespace moeplan
