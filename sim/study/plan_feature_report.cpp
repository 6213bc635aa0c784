#include "study/plan_feature_report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/error.hpp"
#include "study/plan_evaluate.hpp"
#include "study/plan_words.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

const PlanFigures& plan_of(const PlanAnswer& answer, std::size_t candidate) { return *answer.outcomes[candidate].plan; }

/// "ttft_p99 0.41 s instead of 1.2 s": the latency objectives that differ by more than noise.
std::string objectives_change(const PlanSpace& space, const PlanFigures& with, const PlanFigures& without) {
  std::string text;
  for (std::size_t i = 0; i < space.objectives.size(); ++i) {
    const Objective& o = space.objectives[i];
    if (std::abs(with.objectives[i] - without.objectives[i]) < 0.02 * without.objectives[i]) continue;
    text += fmt::format("; {} {} instead of {}", o.key, objective_value_text(o, with.objectives[i]), objective_value_text(o, without.objectives[i]));
  }
  return text;
}

/// What `worth` says of its baseline.
void compare(const PlanSpace& space, const PlanAnswer& answer, const FeatureWorth& baseline, FeatureWorth& worth) {
  if (!worth.best) {
    worth.text = baseline.best ? "does not pay: no plan with it (mostly " + worth.problem + ")" : "no plan with it, and none without";
    return;
  }
  const PlanFigures& with = plan_of(answer, *worth.best);
  if (!baseline.best) {
    worth.pays = true;
    worth.text = fmt::format("pays: without it there is no plan (mostly {}); with it {:.2f} USD/h", baseline.problem, with.price.usd_per_hour);
    return;
  }
  const PlanFigures& without = plan_of(answer, *baseline.best);
  const double saves = without.price.usd_per_hour - with.price.usd_per_hour;
  worth.saves_usd_per_hour = saves;
  worth.pays = saves > 0;
  const std::string share = share_text(std::abs(saves) / without.price.usd_per_hour);
  const std::string prices = fmt::format("{:.2f} USD/h instead of {:.2f}", with.price.usd_per_hour, without.price.usd_per_hour);
  if (saves > 0) {
    worth.text = fmt::format("pays: {} ({} less)", prices, share);
  } else if (saves < 0) {
    worth.text = fmt::format("does not pay: {} ({} more)", prices, share);
  } else {
    worth.text = fmt::format("saves nothing: {:.2f} USD/h with and without", with.price.usd_per_hour);
  }
  worth.text += objectives_change(space, with, without);
}

/// Takes one candidate into account.
void count(const PlanSpace& space, const PlanAnswer& answer, std::size_t candidate, FeatureWorth& worth, std::map<std::string, std::size_t>& problems) {
  const CandidateOutcome& o = answer.outcomes[candidate];
  ++worth.candidates;
  if (!o.plan) {
    ++problems[std::string(to_string(o.rejection)) + (o.key.empty() ? "" : " (" + o.key + ")")];
    return;
  }
  if (!worth.best || plan_rank(space, answer, candidate) < plan_rank(space, answer, *worth.best)) worth.best = candidate;
}

FeatureFinding find(const PlanSpace& space, const PlanAnswer& answer, const PlanFeature& feature) {
  FeatureFinding finding{feature.name, feature.baseline, {}};
  std::vector<std::map<std::string, std::size_t>> problems(feature.values.size());
  for (const std::string& value : feature.values) finding.values.push_back({value, 0, std::nullopt, {}, {}, std::nullopt, false});
  for (std::size_t i = 0; i < answer.outcomes.size(); ++i) {
    const std::string& value = space.bases[space.groups[space.candidates[i].group].base].features.at(feature.name);
    const auto at = static_cast<std::size_t>(std::find(feature.values.begin(), feature.values.end(), value) - feature.values.begin());
    count(space, answer, i, finding.values.at(at), problems[at]);
  }
  for (std::size_t v = 0; v < problems.size(); ++v) {
    const auto most = std::max_element(problems[v].begin(), problems[v].end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    if (!finding.values[v].best && most != problems[v].end()) finding.values[v].problem = most->first;
  }
  const auto baseline = std::find_if(finding.values.begin(), finding.values.end(), [&](const FeatureWorth& w) { return w.value == feature.baseline; });
  MOEPLAN_CHECK(baseline != finding.values.end());
  for (FeatureWorth& worth : finding.values) {
    if (worth.value != feature.baseline) compare(space, answer, *baseline, worth);
  }
  return finding;
}

json worth_json(const PlanSpace& space, const PlanAnswer& answer, const FeatureWorth& worth) {
  json out = {{"value", worth.value}, {"candidates", worth.candidates}};
  if (!worth.text.empty()) {
    out["text"] = worth.text;
    out["pays"] = worth.pays;
  }
  if (worth.saves_usd_per_hour) out["saves_usd_per_hour"] = *worth.saves_usd_per_hour;
  if (!worth.best) {
    out["problem"] = worth.problem;
    return out;
  }
  const PlanFigures& plan = plan_of(answer, *worth.best);
  out["best"] = space.candidates[*worth.best].id;
  out["gpus"] = plan.size.gpus;
  out["usd_per_hour"] = plan.price.usd_per_hour;
  const auto per_million = plan.as_sized().usd_per_million_output_tokens();
  out["usd_per_million_output_tokens"] = per_million ? json(*per_million) : json();
  out["objectives"] = json::array();
  for (std::size_t i = 0; i < space.objectives.size(); ++i) {
    out["objectives"].push_back({{"key", space.objectives[i].key}, {"value", plan.objectives[i]}, {"bound", space.objectives[i].bound}, {"met", true}});
  }
  return out;
}

}  // namespace

std::vector<FeatureFinding> feature_findings(const PlanSpace& space, const PlanAnswer& answer) {
  std::vector<FeatureFinding> findings;
  for (const PlanFeature& feature : space.features) findings.push_back(find(space, answer, feature));
  return findings;
}

json features_json(const PlanSpace& space, const PlanAnswer& answer) {
  json out = json::array();
  for (const FeatureFinding& finding : feature_findings(space, answer)) {
    json choices = json::array();
    for (const FeatureWorth& worth : finding.values) choices.push_back(worth_json(space, answer, worth));
    out.push_back({{"feature", finding.feature}, {"baseline", finding.baseline}, {"choices", std::move(choices)}});
  }
  return out;
}

std::string features_text(const PlanSpace& space, const PlanAnswer& answer) {
  std::string text;
  for (const FeatureFinding& finding : feature_findings(space, answer)) {
    for (const FeatureWorth& worth : finding.values) {
      if (!worth.text.empty()) text += fmt::format("  {:<15} {}: {}\n", finding.feature, worth.value, worth.text);
    }
  }
  return text.empty() ? text : "what features are worth\n" + text;
}

}  // namespace moeplan
