#include "study/scenario.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "input/json_reader.hpp"
#include "model/model_file.hpp"
#include "study/scenario_context.hpp"
#include "study/scenario_deployments.hpp"
#include "study/scenario_workload.hpp"
#include "study/host_memory.hpp"
#include "study/unused_keys.hpp"

namespace moeplan {
namespace fs = std::filesystem;

namespace {

/// What the engine refuses is wrong input; what it runs with reservations is a warning of the result.
void check_engine(const JsonReader& root, Scenario& scenario) {
  const DeploymentConfig& d = scenario.deployment;
  const SupportAnswer answer = check_support(d.engine, d.cluster.gpu, engine_use(d));
  if (!answer.ok()) (root.has("deployment") ? root.at("deployment") : root).fail(answer.refusals.front());
  scenario.warnings.insert(scenario.warnings.end(), answer.warnings.begin(), answer.warnings.end());
}

/// Popularity and placement of the experts: as stated, or as measured on the model's family. Accepted and unused for a dense model.
void resolve_routing(const JsonReader& root, const FileFolders& folders, Scenario& scenario) {
  DeploymentConfig& deployment = scenario.deployment;
  const MoeSpec* moe = deployment.model.moe();
  if (moe == nullptr) return;
  if (!root.has("routing")) {
    deployment.routing = default_routing(deployment.model.family, *moe);
    return;
  }
  deployment.routing = parse_routing(root.at("routing"), folders, deployment.model.family, *moe);
  deployment.placement = parse_placement(root.at("routing"), folders, deployment.layout.expert);
  for (const RecordedCounts* counts : {&deployment.routing.recorded, &deployment.placement.tuned_on}) {
    if (!counts->source.empty()) scenario.files.emplace_back(counts->source);
  }
}

std::optional<Quality> parse_quality(const JsonReader& root) {
  if (!root.has("quality")) return std::nullopt;
  const JsonReader reader = root.at("quality");
  if (!reader.value().is_object()) return Quality{root.number("quality"), "", "scenario"};
  return Quality{reader.number("score"), reader.string("benchmark", ""), reader.string("source", "scenario")};
}

}  // namespace

std::vector<Objective> all_objectives(const Scenario& scenario) {
  std::vector<Objective> all = scenario.objectives;
  for (const auto& [name, objectives] : scenario.class_objectives) {
    for (const Objective& o : objectives) {
      all.push_back(o);
      all.back().key = name + "." + o.key;
      all.back().workload_class = name;
    }
  }
  return all;
}

EngineUse engine_use(const DeploymentConfig& deployment) {
  EngineUse use;
  use.weights = deployment.precision.weights;
  use.experts = deployment.precision.experts;
  use.kv_cache = deployment.precision.kv_cache;
  use.moe = deployment.model.is_moe();
  use.expert_parallel = deployment.layout.expert > 1;
  use.attention_data_parallel = deployment.layout.attention_data > 1;
  use.pipeline_parallel = deployment.layout.pipeline > 1;
  use.two_batch_overlap = deployment.engine.overlap.two_batch && deployment.layout.attention_data > 1;
  return use;
}

Precision default_kv_cache(const EngineProfile& engine, const DeploymentPrecision& precision) {
  const std::vector<Precision>& fp8 = engine.fp8_kv_cache_with;
  const auto named = [&](Precision p) { return std::find(fp8.begin(), fp8.end(), p) != fp8.end(); };
  return named(precision.weights) || named(precision.experts) ? Precision::kFp8 : Precision::kBf16;
}

std::filesystem::path default_cost_profile(const DataRoot& data, const std::string& gpu) {
  const fs::path file = data.fitted() / (gpu + ".json");
  std::error_code ignored;
  return fs::is_regular_file(file, ignored) ? file : fs::path();
}

namespace {

Scenario resolve(const JsonDocument& document, const fs::path& folder, const DataRoot& data, bool starting_point) {
  Scenario scenario;
  scenario.file = document.file;
  ScenarioContext context{data, folder, scenario, starting_point};
  const JsonReader root(document);
  scenario.name = root.string("name", fs::path(document.file).stem().string());
  const fs::path model_schema = data.schema("model");
  scenario.deployment.model = load_entry(
      context, root, "model", "model", data.models(), model_schema, [&](const fs::path& file) { return load_model(file, context.data.schema_folder()); },
      [](const JsonReader& entry) { return parse_model(entry); });
  scenario.deployment.cluster = resolve_cluster(context, root.at("cluster"));
  resolve_deployment(context, root);
  resolve_routing(root, {folder, data.folder()}, scenario);
  if (!starting_point) {
    resolve_disaggregation(context, root);
    check_engine(root, scenario);
  }
  resolve_scenario_workload(root, folder, data, scenario);
  if (root.has("objectives")) {
    std::vector<std::string> classes;
    for (const WorkloadClass& c : scenario.workload.classes) classes.push_back(c.name);
    scenario.objectives = parse_objectives(root.at("objectives"));
    for (auto& [name, objectives] : parse_class_objectives(root.at("objectives"), classes)) scenario.class_objectives[name] = std::move(objectives);
  }
  if (root.has("cost")) scenario.cost = parse_cost(root.at("cost"), scenario.deployment.cluster.gpu, scenario.deployment.cluster.node, data);
  if (root.has("cost") && scenario.disaggregation && scenario.disaggregation->prefill.cluster.gpu.id != scenario.deployment.cluster.gpu.id) {
    const ClusterSpec& prefill = scenario.disaggregation->prefill.cluster;
    scenario.disaggregation->cost = parse_cost(root.at("cost"), prefill.gpu, prefill.node, data);
  }
  scenario.quality = parse_quality(root);
  if (scenario.cost.uses_list()) scenario.files.push_back(data.prices());
  if (root.has("uncertainty")) scenario.uncertainty = parse_uncertainty(root.at("uncertainty"));
  scenario.seed = static_cast<std::uint64_t>(root.integer("seed", 1));
  resolve_fleet(root, folder, data, starting_point, scenario);
  if (starting_point) return scenario;
  check_host_memory(root, scenario);
  const std::vector<std::string> unused = unused_keys(root, scenario);
  scenario.warnings.insert(scenario.warnings.end(), unused.begin(), unused.end());
  return scenario;
}

}  // namespace

Scenario resolve_scenario(const JsonDocument& document, const fs::path& folder, const DataRoot& data) {
  return resolve(document, folder, data, false);
}

Scenario resolve_starting_point(const JsonDocument& document, const fs::path& folder, const DataRoot& data) {
  return resolve(document, folder, data, true);
}

Scenario load_scenario(const fs::path& file, const DataRoot& data) {
  const JsonDocument document = load_json(file, data.schema("scenario"));
  Scenario scenario = resolve_scenario(document, file.parent_path(), data);
  scenario.files.insert(scenario.files.begin(), file);
  return scenario;
}

}  // namespace moeplan
