#include "study/plan_bases.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "input/catalogue.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"
#include "study/first_burst.hpp"

namespace moeplan {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// The hardware choices as `cluster` objects.
std::vector<json> clusters(const SearchConfig& search, const json& own) {
  std::vector<json> out;
  for (const std::string& gpu : search.gpus) out.push_back({{"gpu", gpu}});
  for (const std::string& node : search.nodes) out.push_back({{"node", node}});
  if (out.empty()) {
    out.push_back(own);
    out.back().erase("gpus");
    out.back().erase("nodes");
  }
  if (own.contains("peer_to_peer")) {
    for (json& cluster : out) cluster["peer_to_peer"] = own["peer_to_peer"];
  }
  return out;
}

/// A document for one base: the scenario's own with another model, cluster and engine, and without what candidates state themselves.
json base_document(const json& root, const json& model, const json& cluster, const json& engine, const json& features) {
  json out = root;
  out["model"] = model;
  out["cluster"] = cluster;
  out.erase("cost");
  json& deployment = out["deployment"];
  if (deployment.is_null()) deployment = json::object();
  deployment.erase("parallel");
  deployment.erase("replicas");
  if (!engine.is_null()) deployment["engine"] = engine;
  for (const auto& [key, value] : features.items()) {
    if (value.is_null()) {
      deployment.erase(key);
    } else if (value.is_object() && deployment.contains(key) && key == "scheduler") {
      deployment[key].merge_patch(value);
    } else {
      deployment[key] = value;
    }
  }
  return out;
}

json with_scheduler(json document, const json& scheduler) {
  if (!scheduler.is_null()) document["deployment"]["scheduler"].merge_patch(scheduler);
  return document;
}

/// Prefill apart, as a replica of its pool is before its layout is chosen.
DisaggregationSpec prefill_start(const json& document, const PoolsChoice& choice, const JsonDocument& original, const fs::path& folder, const DataRoot& data, Scenario& base) {
  Scenario prefill = resolve_starting_point(JsonDocument(with_scheduler(document, choice.scheduler), original.file), folder, data);
  DisaggregationSpec spec;
  spec.prefill = std::move(prefill.deployment);
  // What is stated of precision holds for both; a default of the KV cache is the decode pool's, which reads it.
  spec.prefill.precision = base.deployment.precision;
  spec.own_cluster = spec.prefill.cluster.node.id != base.deployment.cluster.node.id;
  spec.layerwise = choice.layerwise;
  spec.latency = Seconds(choice.latency_s);
  spec.stay_below_tokens = choice.stay_below_tokens;
  for (const fs::path& file : prefill.files) {
    if (std::find(base.files.begin(), base.files.end(), file) == base.files.end()) base.files.push_back(file);
  }
  return spec;
}

void add_prefill_price(Scenario& base, const json& cost, const JsonDocument& original, const DataRoot& data) {
  if (!base.disaggregation || base.disaggregation->prefill.cluster.node.id == base.deployment.cluster.node.id) return;
  const ClusterSpec& cluster = base.disaggregation->prefill.cluster;
  base.disaggregation->cost = parse_cost(JsonReader(cost, original.file, "/cost"), cluster.gpu, cluster.node, data);
}

/// `prefill`: the same document on the prefill pool's cluster; null: prefill is not apart.
PlanBase make_base(const json& document, const json& prefill, const FeatureChoice& features, const json& cost, const JsonDocument& original, const fs::path& folder,
                   const DataRoot& data) {
  PlanBase base;
  base.features = features.values;
  base.features_id = features.id;
  const JsonDocument own(features.pools ? with_scheduler(document, features.pools->decode_scheduler) : document, original.file);
  base.scenario = resolve_starting_point(own, folder, data);
  base.fleet = std::exchange(base.scenario.fleet, std::nullopt);
  if (base.fleet) base.scenario.replicas = 1;
  if (const std::string burst = leave_out_first_burst(base.scenario, "a plan is for steady operation"); !burst.empty()) base.scenario.warnings.push_back(burst);
  base.failures = std::exchange(base.scenario.failures, std::nullopt);
  if (!prefill.is_null()) base.scenario.disaggregation = prefill_start(prefill, *features.pools, original, folder, data, base.scenario);
  const ClusterSpec& cluster = base.scenario.deployment.cluster;
  try {
    base.scenario.cost = parse_cost(JsonReader(cost, original.file, "/cost"), cluster.gpu, cluster.node, data);
    if (!base.scenario.cost.rental_usd_per_gpu_hour && !base.scenario.cost.owned) {
      throw InputError(original.file + ": /cost", "a plan needs a price: state \"rental\" or \"owned\"");
    }
    if (base.scenario.cost.uses_list()) base.scenario.files.push_back(data.prices());
    add_prefill_price(base.scenario, cost, original, data);
  } catch (const InputError& error) {
    base.price_problem = error.what();
  }
  return base;
}

/// Names are refused where they stand, not in the cluster that they become.
void check_names(const JsonReader& reader, std::initializer_list<const char*> keys, const fs::path& folder, const DataRoot& data) {
  const std::map<std::string, std::pair<fs::path, std::string>> catalogues = {
      {"models", {data.models(), "model"}}, {"gpus", {data.gpus(), "GPU"}}, {"nodes", {data.nodes(), "node"}}, {"engines", {data.engines(), "engine"}}};
  for (const std::string key : keys) {
    if (!reader.has(key)) continue;
    const auto& [catalogue, kind] = catalogues.at(key);
    std::set<std::string> seen;
    for (const JsonReader& name : reader.at(key).elements()) {
      const std::string id = name.value().get<std::string>();
      find_catalogue_file(catalogue, id, kind, folder, name.where());
      if (!seen.insert(id).second) throw InputError(name.where(), fmt::format("'{}' stands there twice", id));
    }
  }
}

void check_names(const JsonDocument& document, const fs::path& folder, const DataRoot& data) {
  const JsonReader root(document);
  if (!root.has("search")) return;
  const JsonReader search = root.at("search");
  check_names(search, {"models", "gpus", "nodes", "engines"}, folder, data);
  if (!search.has("features") || !search.at("features").has("disaggregation")) return;
  for (const JsonReader& choice : search.at("features").at("disaggregation").elements()) {
    if (choice.value().is_object() && choice.has("prefill")) check_names(choice.at("prefill"), {"gpus", "nodes"}, folder, data);
  }
}

std::vector<json> or_own(const std::vector<std::string>& names, const json& own) {
  if (names.empty()) return {own};
  return {names.begin(), names.end()};
}

/// What the decode pool, or the only one, lies on where the search names nothing else.
json decode_cluster(const json& root) {
  const json::json_pointer stated("/deployment/disaggregation/decode/cluster");
  return root.contains(stated) ? root.at(stated) : root.at("cluster");
}

}  // namespace

std::vector<std::size_t> add_bases(const JsonDocument& document, const fs::path& folder, const DataRoot& data, const std::vector<FeatureChoice>& features, PlanSpace& space) {
  check_names(document, folder, data);
  const json& root = document.root();
  const json own_engine = root.value("deployment", json::object()).value("engine", json());
  const json cost = root.value("cost", json{{"rental", "auto"}});
  std::vector<std::size_t> features_of;
  const auto add = [&](const json& model, const json& cluster, const json& engine, std::size_t f) {
    const FeatureChoice& choice = features[f];
    const json own = base_document(root, model, cluster, engine, choice.deployment);
    for (const json& prefill : choice.pools ? choice.pools->clusters : std::vector<json>(1)) {
      json other;
      if (choice.pools) other = prefill.is_null() ? own : base_document(root, model, prefill, engine, choice.deployment);
      space.bases.push_back(make_base(own, other, choice, cost, document, folder, data));
      features_of.push_back(f);
    }
  };
  for (const json& model : or_own(space.search.models, root.at("model"))) {
    for (const json& cluster : clusters(space.search, decode_cluster(root))) {
      for (const json& engine : or_own(space.search.engines, own_engine)) {
        for (std::size_t f = 0; f < features.size(); ++f) add(model, cluster, engine, f);
      }
    }
  }
  return features_of;
}

}  // namespace moeplan
