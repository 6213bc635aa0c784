// What each feature of a search is worth: the cheapest plan with every choice of it, whatever the other features, beside the cheapest one without.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "study/plan.hpp"

namespace moeplan {

/// One choice of a feature.
struct FeatureWorth {
  std::string value;
  std::size_t candidates = 0;
  std::optional<std::size_t> best;  ///< its cheapest plan
  std::string problem;              ///< the reason met most often, where it has no plan
  std::string text;                 ///< what it is worth beside the baseline, in words; empty for the baseline itself
  std::optional<double> saves_usd_per_hour;  ///< baseline less this one; nothing where either has no plan
  bool pays = false;                ///< cheaper than the baseline, or the only one that does it
};

struct FeatureFinding {
  std::string feature, baseline;
  std::vector<FeatureWorth> values;
};

/// In the order of the space; empty where there is nothing to choose.
std::vector<FeatureFinding> feature_findings(const PlanSpace& space, const PlanAnswer& answer);

nlohmann::json features_json(const PlanSpace& space, const PlanAnswer& answer);

/// Lines of the summary; empty where there is nothing to choose.
std::string features_text(const PlanSpace& space, const PlanAnswer& answer);

}  // namespace moeplan
