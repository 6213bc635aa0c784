// The answer of a plan search as JSON and as text. The JSON is the result of the best plan, simulated in full, with a `plan` section; without a plan it
// is the starting point's memory with that section.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "study/plan.hpp"
#include "study/plan_confidence.hpp"
#include "study/plan_trial.hpp"
#include "study/result.hpp"

namespace moeplan {

/// What goes with an answer.
struct PlanReport {
  Result result;  ///< full simulation of the best plan under the load it is sized for; memory alone of the starting point where there is no plan
  std::optional<PlanConfidence> confidence;
  std::optional<PlanTrial> trial;  ///< with a fleet or failures stated
  std::vector<std::string> not_assessed;  ///< what the time did not suffice for, in the order of the work; those of the answer first
};

struct PlanReportOptions {
  const ErrorModel* errors = nullptr;       ///< null leaves out how sure it is
  int jobs = 0;                             ///< threads, 0 = all
  std::function<void(double)> progress{};   ///< share done
  TimeIsOver out_of_time{};                 ///< nothing is begun or gone on with then but the full simulation of the best plan,
  TimeIsOver too_late{};                    ///< which ends here
  PlanJournal* journal = nullptr;           ///< null: none
};
PlanReport report_plan(const PlanSpace& space, const PlanAnswer& answer, const PlanReportOptions& options);

/// A result (reports/schema/result.schema.json) with the section `plan`.
std::string plan_json(const PlanSpace& space, const PlanAnswer& answer, const PlanReport& report, const DataRoot& data);

/// What a director reads: what to buy, what it costs, how near the objectives it runs, what nearly won, why the others lost. `resume`: options that
/// complete an answer that a time budget has cut short.
std::string plan_summary(const PlanSpace& space, const PlanAnswer& answer, const PlanReport& report, const std::string& resume = "--resume DIR");

/// What being sure at 95 % takes, in one sentence; empty where the plan, which is of `group`, is, or where it was not found out.
std::string advice_on_95(const PlanConfidence& confidence, const PlanSpace& space, const PlanGroup& group, const PlanFigures& plan);

/// What a time budget has kept from being done, and that `resume` has it done; empty: nothing.
std::string cut_short_text(const PlanAnswer& answer, const PlanReport& report, const std::string& resume);

/// The cheapest plan of every model on every GPU, or what kept it from having one; in the order of the space.
struct PlanChoice {
  std::string model, gpu;
  std::optional<std::size_t> candidate;  ///< its cheapest plan
  std::string problem;                   ///< the reason met most often, where there is no plan
  std::size_t candidates = 0;
};
std::vector<PlanChoice> plan_choices(const PlanSpace& space, const PlanAnswer& answer);

/// How often each reason was met.
std::vector<std::pair<Rejection, std::size_t>> rejection_counts(const PlanAnswer& answer);

/// What the answer assumes, and what would be if it were otherwise. First the errors that move the tightest objective most, where `confidence` knows them;
/// then the load that it is sized for, where that is not the workload's; then what slower kernels, more load and longer answers would take, and the price at which another GPU is as cheap.
std::vector<std::string> plan_assumptions(const PlanSpace& space, const PlanAnswer& answer, const PlanConfidence* confidence);

/// Why there is no plan, in one sentence; empty where there is one.
std::string no_plan_text(const PlanSpace& space, const PlanAnswer& answer);

}  // namespace moeplan
