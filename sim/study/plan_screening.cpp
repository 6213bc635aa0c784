#include "study/plan_screening.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "study/host_memory.hpp"
#include "study/plan_journal.hpp"
#include "study/plan_words.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

std::string screened_text(const std::vector<Screened>& group) {
  json out = json::array();
  for (const Screened& s : group) out.push_back({s.outcome.to_text(), s.first, s.prefill, s.least_usd});
  return out.dump();
}

std::vector<Screened> screened_from(const std::string& text) {
  std::vector<Screened> out;
  for (const json& s : json::parse(text)) {
    out.push_back({CandidateOutcome::from_text(s[0].get<std::string>()), s[1].get<int>(), s[2].get<int>(), s[3].get<double>()});
  }
  return out;
}

CandidateOutcome unfit(const MemorySummary& memory, const char* pool) {
  return rejected(Rejection::kMemory, fmt::format("does not fit{}: {:.1f} GB missing per GPU ({:.1f} GB of weights on {:.1f} GB)", pool, memory.plan.missing.as_double() / 1e9,
                                                  memory.plan.weights.as_double() / 1e9, memory.plan.capacity.as_double() / 1e9), {}, memory.plan.missing.as_double() / memory.plan.capacity.as_double());
}

Screened screen_candidate(PlanWorkshop& workshop, std::size_t candidate, const PlanLadder& smallest) {
  const PlanSpace& space = workshop.space();
  const PlanCandidate& c = space.candidates[candidate];
  const PlanGroup& group = space.groups[c.group];
  DeploymentConfig config = group.config;
  config.scheduler = c.scheduler;
  Screened s;
  const MemorySummary memory = plan_deployment_memory(config);
  if (!memory.plan.fits) {
    s.outcome = unfit(memory, group.pools ? " where it decodes" : "");
    return s;
  }
  if (group.pools) {
    const MemorySummary prefill = plan_deployment_memory(group.pools->prefill);
    if (!prefill.plan.fits) {
      s.outcome = unfit(prefill, " in the prefill pool");
      return s;
    }
  }
  if (smallest.rungs() == 0) {
    s.outcome = rejected(Rejection::kLimit, smallest.limit(), {}, kNoneAllowed);
    return s;
  }
  const CandidateReplica replica(workshop, candidate, workshop.candidate_config(candidate));
  const PlanBounds bounds = bound_plan(workshop.question(group), workshop.profile(group), replica.get());
  if (!bounds.problem.empty()) {
    s.outcome = rejected(Rejection::kBound, bounds.problem, bounds.failing, bounds.miss);
    return s;
  }
  const PlanLadder ladder = group.pools ? PlanLadder(space, group, bounds.prefill) : smallest;
  s.prefill = bounds.prefill;
  s.first = ladder.rung_of(bounds.replicas);
  if (s.first > ladder.rungs()) {
    const std::string needs = group.pools ? fmt::format("{} prefill and {}", bounds.prefill, counted(bounds.replicas, "decode replica")) : counted(bounds.replicas, "serving replica");
    const int most = ladder.rungs() > 0 ? ladder.size(ladder.rungs()).serving : 0;
    s.outcome = rejected(Rejection::kLimit, fmt::format("needs at least {} by the bound of its best batches; {}", needs, ladder.limit()), {}, (bounds.replicas + 1.0) / (most + 1.0));
    return s;
  }
  if (const auto shortage = host_shortage(config.cluster.node, host_demand(config), ladder.size(s.first).serving * config.layout.gpus())) {
    s.outcome = rejected(Rejection::kMemory, *shortage);
    return s;
  }
  s.least_usd = ladder.price(s.first, {}).usd_per_hour;
  return s;
}

std::string screen_group(PlanWorkshop& workshop, std::size_t index, PlanJournal* journal) {
  const PlanSpace& space = workshop.space();
  const PlanGroup& group = space.groups[index];
  std::vector<Screened> out(group.count);
  const auto all = [&](const CandidateOutcome& outcome) {
    for (Screened& s : out) s.outcome = outcome;
    return screened_text(out);
  };
  if (!group.refusal.empty()) return all(rejected(group.refused_by_engine ? Rejection::kSupport : Rejection::kLayout, group.refusal));
  if (const std::string& problem = space.bases[group.base].price_problem; !problem.empty()) return all(rejected(Rejection::kPrice, problem));
  const std::string key = group.id + " screened";
  if (journal != nullptr) {
    if (auto stored = journal->find(key)) return *stored;
  }
  if (workshop.out_of_time()) return {};
  const PlanLadder ladder(space, group, group.pools ? 1 : 0);
  bool open = false;
  for (std::size_t i = 0; i < group.count; ++i) {
    out[i] = screen_candidate(workshop, group.first + i, ladder);
    open = open || out[i].outcome.rejection == Rejection::kNone;
  }
  if (!open) workshop.forget(index);
  const std::string text = screened_text(out);
  if (journal != nullptr) journal->append(key, text);
  return text;
}

}  // namespace

std::vector<Screened> screen_plan(PlanWorkshop& workshop, PlanExecutor& executor, PlanJournal* journal) {
  const PlanSpace& space = workshop.space();
  const std::vector<std::string> texts = executor.map(space.groups.size(), [&](std::size_t i) { return screen_group(workshop, i, journal); });
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
