// Where anchors come from and what they correct: layouts of a table of measured runs (`validate --anchors`), or the deployment of a scenario
// (`simulate --anchors`).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "study/anchors.hpp"
#include "study/predict_run.hpp"
#include "study/scenario.hpp"

namespace moeplan {

/// Which runs anchor which layouts.
struct AnchorPlan {
  std::map<std::string, std::vector<MeasuredRun>> anchors;  ///< by MeasuredRun::anchor_key
  std::vector<bool> unscored;                               ///< runs that are anchors, or whose layout has none to spare
};

/// `count` anchors of every layout with more scorable rows than that; the other layouts are left out of the scores.
AnchorPlan plan_anchors(const std::vector<MeasuredRun>& runs, std::size_t count);
/// Anchors of the layouts in `from`; all other runs are scored, those of other layouts without a correction.
AnchorPlan plan_anchors(const std::vector<MeasuredRun>& runs, const std::vector<MeasuredRun>& from);

/// Fits the anchors of one layout on the deployment that they state. Throws InputError when it cannot be predicted.
AnchorFit fit_layout(const std::vector<MeasuredRun>& anchors, const DataRoot& data, StudyLibraries& shared, std::uint64_t seed);

/// Whether any of `runs` was measured on the scenario's deployment, as anchor_scenario asks for.
bool has_anchors(const Scenario& scenario, const std::vector<MeasuredRun>& runs, const DataRoot& data);

/// Corrects the scenario's engine by the rows of `file` that were measured on its deployment: same model, GPU, engine, parallel widths, and weight and KV
/// formats where a row states them. Suspect rows are left out. Notes the file in the provenance, warns of a lone anchor. Throws InputError when no
/// row matches (naming what differs in the nearest one) and when anchors contradict each other.
AnchorFit anchor_scenario(Scenario& scenario, const std::filesystem::path& file, const DataRoot& data);

}  // namespace moeplan
