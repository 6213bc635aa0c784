// What the parts of resolving a scenario share: the data root, the scenario's folder, and entries named by id, by path or written inline.
#pragma once

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "input/catalogue.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"
#include "study/scenario.hpp"

namespace moeplan {

/// Everything that resolving one scenario needs at hand.
struct ScenarioContext {
  const DataRoot& data;
  std::filesystem::path folder;  ///< of the scenario file
  Scenario& scenario;
  bool starting_point = false;  ///< of a search: layout and support are checked of its candidates
};

/// An entry named by id or path, or written inline: loads it with `from_file(path)` or `from_json(document)`.
template <class FromFile, class FromJson>
auto load_entry(ScenarioContext& context, const JsonReader& parent, std::string_view key, std::string_view kind, const std::filesystem::path& catalogue,
                const std::filesystem::path& schema, FromFile from_file, FromJson from_json) {
  const JsonReader entry = parent.at(key);
  if (entry.value().is_object()) {
    const JsonDocument document = parse_json(entry.value().dump(), entry.file(), schema, entry.pointer());
    return from_json(JsonReader(document));
  }
  if (!entry.value().is_string()) entry.fail(fmt::format("a {} is an id, a path or an object", kind));
  const std::filesystem::path file = find_catalogue_file(catalogue, entry.value().get<std::string>(), kind, context.folder, entry.where());
  context.scenario.files.push_back(file);
  return from_file(file);
}

/// The node, the GPU in it, and how many of them may be used: the scenario's "cluster" or a pool's.
ClusterSpec resolve_cluster(ScenarioContext& context, const JsonReader& cluster);

/// Engine, layout, precisions, scheduler, features, fleet and cost profile: the scenario's "deployment".
void resolve_deployment(ScenarioContext& context, const JsonReader& root);

/// "disaggregation": { "prefill": {...}, "decode": {...}, "overlap": "layerwise", "latency": "1 ms", "stay_below_tokens": 512 }
void resolve_disaggregation(ScenarioContext& context, const JsonReader& root);

}  // namespace moeplan
