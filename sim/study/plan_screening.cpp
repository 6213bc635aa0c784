#include "study/plan_screening.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace moeplan {

using nlohmann::json;

namespace {

std::string screened_text(const std::vector<Screened>& group) {
  json out = json::array();
  for (const Screened& s : group) out.push_back({s.outcome.to_text(), s.first, s.least_usd});
  return out.dump();
}

std::vector<Screened> screened_from(const std::string& text) {
  std::vector<Screened> out;
  for (const json& s : json::parse(text)) {
    out.push_back({CandidateOutcome::from_text(s[0].get<std::string>()), s[1].get<int>(), s[2].get<double>()});
  }
  return out;
}

Screened screen_candidate(PlanWorkshop& workshop, std::size_t candidate, const PlanLadder& ladder) {
  const PlanSpace& space = workshop.space();
  const PlanCandidate& c = space.candidates[candidate];
  const PlanGroup& group = space.groups[c.group];
  DeploymentConfig config = group.config;
  config.scheduler = c.scheduler;
  Screened s;
  const MemorySummary memory = plan_deployment_memory(config);
  if (!memory.plan.fits) {
    s.outcome = rejected(Rejection::kMemory, fmt::format("does not fit: {:.1f} GB missing per GPU ({:.1f} GB of weights on {:.1f} GB)", memory.plan.missing.as_double() / 1e9,
                                                         memory.plan.weights.as_double() / 1e9, memory.plan.capacity.as_double() / 1e9));
    return s;
  }
  if (ladder.rungs() == 0) {
    s.outcome = rejected(Rejection::kLimit, ladder.limit());
    return s;
  }
  config = workshop.candidate_config(candidate);
  const PlanReplica replica{config, memory.plan, workshop.deployment(c.group).cost()};
  const PlanBounds bounds = bound_plan(workshop.question(group), workshop.profile(), replica);
  if (!bounds.problem.empty()) {
    s.outcome = rejected(Rejection::kBound, bounds.problem, bounds.failing);
    return s;
  }
  if (ladder.size(ladder.rungs()).serving < bounds.replicas) {
    s.outcome = rejected(Rejection::kLimit, fmt::format("needs at least {} serving replicas by the bound of its best batches; {}", bounds.replicas, ladder.limit()));
    return s;
  }
  s.first = 1;
  int high = ladder.rungs();
  while (s.first < high) {
    const int middle = s.first + (high - s.first) / 2;
    if (ladder.size(middle).serving >= bounds.replicas) {
      high = middle;
    } else {
      s.first = middle + 1;
    }
  }
  s.least_usd = ladder.price(s.first, 0).usd_per_hour;
  return s;
}

std::string screen_group(PlanWorkshop& workshop, std::size_t index) {
  const PlanSpace& space = workshop.space();
  const PlanGroup& group = space.groups[index];
  std::vector<Screened> out(group.count);
  const auto all = [&](const CandidateOutcome& outcome) {
    for (Screened& s : out) s.outcome = outcome;
    return screened_text(out);
  };
  if (!group.refusal.empty()) return all(rejected(group.refused_by_engine ? Rejection::kSupport : Rejection::kLayout, group.refusal));
  if (const std::string& problem = space.bases[group.base].price_problem; !problem.empty()) return all(rejected(Rejection::kPrice, problem));
  if (workshop.out_of_time()) return {};
  const PlanLadder ladder(space, group);
  bool open = false;
  for (std::size_t i = 0; i < group.count; ++i) {
    out[i] = screen_candidate(workshop, group.first + i, ladder);
    open = open || out[i].outcome.rejection == Rejection::kNone;
  }
  if (!open) workshop.forget(index);
  return screened_text(out);
}

}  // namespace

std::vector<Screened> screen_plan(PlanWorkshop& workshop, PlanExecutor& executor) {
  const PlanSpace& space = workshop.space();
  const std::vector<std::string> texts = executor.map(space.groups.size(), [&](std::size_t i) { return screen_group(workshop, i); });
  std::vector<Screened> screened;
  for (std::size_t g = 0; g < texts.size(); ++g) {
    if (texts[g].empty()) {
      Screened unfinished;
      unfinished.outcome = rejected(Rejection::kUnfinished, "not looked at: the time budget ended first");
      screened.insert(screened.end(), space.groups[g].count, unfinished);
      continue;
    }
    const std::vector<Screened> found = screened_from(texts[g]);
    screened.insert(screened.end(), found.begin(), found.end());
    const bool open = std::any_of(found.begin(), found.end(), [](const Screened& s) { return s.outcome.rejection == Rejection::kNone; });
    if (!open) workshop.tell_finished(g);
  }
  return screened;
}

}  // namespace moeplan
