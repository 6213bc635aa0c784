#include <fmt/core.h>

#include <limits>
#include <utility>

#include "study/plan_ladder.hpp"
#include "study/plan_report.hpp"
#include "study/plan_screening.hpp"
#include "study/plan_words.hpp"

namespace moeplan {

namespace {

/// The candidate whose reason is to be told where nothing is a plan: the one that came furthest through the stages of the search, and of these the one that
/// came nearest to what was asked.
std::optional<std::size_t> furthest(const PlanAnswer& answer) {
  const auto nearest = [&](Rejection kind, double beyond) {
    std::optional<std::size_t> found;
    for (std::size_t i = 0; i < answer.outcomes.size(); ++i) {
      const CandidateOutcome& o = answer.outcomes[i];
      if (o.rejection == kind && o.miss < beyond && (!found || o.miss < answer.outcomes[*found].miss)) found = i;
    }
    return found;
  };
  constexpr double kAny = std::numeric_limits<double>::infinity();
  // Where not even one replica is allowed the objectives were not looked at.
  for (const auto& [kind, beyond] : {std::pair(Rejection::kObjective, kAny), {Rejection::kSaturated, kAny}, {Rejection::kLimit, kNoneAllowed}, {Rejection::kBound, kAny}, {Rejection::kLimit, kAny},
                                     {Rejection::kMemory, kAny}, {Rejection::kSupport, kAny}, {Rejection::kPrice, kAny}, {Rejection::kLayout, kAny}}) {
    if (const auto found = nearest(kind, beyond)) return found;
  }
  return std::nullopt;
}

/// Which limits that many GPUs more exceed, at the plan's cost and power per GPU.
std::string beyond_limits(const PlanSpace& space, const PlanGroup& group, const PlanFigures& plan, const PlanConfidence& sure) {
  const PlanLimits& limits = space.search.limits;
  const int gpus = plan.size.gpus + *sure.extra_gpus;
  const double factor = static_cast<double>(gpus) / plan.size.gpus;
  constexpr double kRounding = 1 + 1e-9;
  std::string names;
  const auto name = [&](bool exceeded, std::string_view limit) {
    if (exceeded) names += fmt::format("{}limits.{}", names.empty() ? "" : ", ", limit);
  };
  name(limits.gpus && gpus > *limits.gpus, "gpus");
  name(limits.usd_per_hour && plan.price.usd_per_hour * factor > *limits.usd_per_hour * kRounding, "budget");
  name(limits.watts && plan.price.load_w && *plan.price.load_w * factor > *limits.watts * kRounding, "power");
  name(limits.racks && PlanLadder(space, group, sure.counts.prefill).racks_for(sure.counts.serving, gpus) > *limits.racks, "racks");
  return names.empty() ? names : ", beyond " + names;
}

}  // namespace

std::string advice_on_95(const PlanConfidence& c, const PlanSpace& space, const PlanGroup& group, const PlanFigures& plan) {
  if (!c.size_known) return {};
  if (!c.extra_gpus && c.uncertainty.beyond_offer > 1 - kPlanConfidence) {
    return fmt::format("no number of replicas makes it 95 %: in {:.0f} % of the draws less arrives than a throughput objective asks for", c.uncertainty.beyond_offer * 100);
  }
  if (!c.extra_gpus && !space.search.counts.empty()) return "none of the numbers of GPUs that may be bought (search.counts) makes it 95 %";
  if (!c.extra_gpus) return "not even four times the replicas make it 95 %: the ranges of what is not known reach beyond them, or the objectives are near what the hardware can do";
  if (*c.extra_gpus > 0) {
    return fmt::format("{} more ({}) make it 95 %{}", counted(*c.extra_gpus, "GPU"), counted(c.replicas, "serving replica"), beyond_limits(space, group, plan, c));
  }
  const int serving = plan.size.serving + plan.size.prefill.serving;
  return c.replicas > serving ? fmt::format("{} instead of {} on the same GPUs make it 95 %", counted(c.replicas, "serving replica"), serving) : std::string();
}

std::string no_plan_text(const PlanSpace& space, const PlanAnswer& answer) {
  if (answer.best) return {};
  const auto counts = rejection_counts(answer);
  if (!answer.exhausted) return "no plan was found before the time budget ended";
  const std::size_t all = answer.outcomes.size();
  const std::string_view reason = to_string(counts.front().first);
  std::string text = fmt::format("no plan among {} candidates", all);
  if (counts.size() == 1) {
    text = all == 1 ? fmt::format("no plan: the only candidate is rejected, {}", reason) : fmt::format("no plan: all {} candidates are rejected for one reason, {}", all, reason);
  }
  const auto told = furthest(answer);
  return told ? text + fmt::format("; the one that came furthest, {}: {}", space.candidates[*told].id, answer.outcomes[*told].reason) : text;
}

std::string cut_short_text(const PlanAnswer& answer, const PlanReport& report, const std::string& resume) {
  std::string text;
  if (!answer.exhausted) text += "\nNOT EXHAUSTED: the time budget ended the search, a cheaper plan may exist; " + resume + " goes on\n";
  if (report.not_assessed.empty()) return text;
  std::string parts;
  for (const std::string& part : report.not_assessed) parts += (parts.empty() ? "" : ", ") + part;
  return text + fmt::format("{}NOT ASSESSED: {}: the time budget ended first; {} completes the answer\n", text.empty() ? "\n" : "", parts, resume);
}

}  // namespace moeplan
