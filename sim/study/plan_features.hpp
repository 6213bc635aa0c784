// What production servers may switch on, as choices of a search: the prefix cache, speculative decoding, prefill apart from decoding. Every combination is
// searched, so that a plan can say what each is worth.
//
//   "features": {
//     "prefix_cache": [false, true, { "router": "prefix_aware", "kv_tiers": {...} }],
//     "speculation": ["none", { "method": "mtp", "draft_tokens": 2, "acceptance": [0.85, 0.7] }],
//     "disaggregation": ["none", { "prefill": { "gpus": ["h100-sxm"], "parallel": "auto" }, "overlap": "layerwise" }]
//   }
//
// A deployment that states `disaggregation` itself is searched with prefill apart, too.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/deployment.hpp"

namespace moeplan {

class JsonReader;

/// A feature to choose from.
struct PlanFeature {
  std::string name;                 ///< "prefix_cache", "speculation", "disaggregation"
  std::vector<std::string> values;  ///< "off", "on"; "none", "mtp 2"; the first that is off, or the first, is what the others are compared with
  std::string baseline;
};

/// How prefill is kept apart.
struct PoolsChoice {
  std::vector<nlohmann::json> clusters;               ///< of the prefill pool; null: like the decode pool's
  std::optional<std::vector<ParallelLayout>> layouts;  ///< of the prefill pool; nothing: like the decode pool's
  bool automatic_layouts = false;                     ///< all that divide the model instead
  nlohmann::json scheduler, decode_scheduler;         ///< null: the deployment's
  bool layerwise = true;
  double latency_s = 1e-3;
  std::int32_t stay_below_tokens = 0;
};

/// One combination of features.
struct FeatureChoice {
  std::map<std::string, std::string> values;  ///< by feature
  std::string id;
  nlohmann::json deployment;  ///< keys of the deployment that it states; null ones are left out of it
  std::optional<PoolsChoice> pools;
};

/// Every combination of `search.features` and the features themselves; one combination without a name where there is nothing to choose. `root`: the scenario.
/// Throws InputError: a repeated choice, keys of an unknown kind.
std::vector<FeatureChoice> feature_choices(const JsonReader& root, std::vector<PlanFeature>& features);

}  // namespace moeplan
