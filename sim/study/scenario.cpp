#include "study/scenario.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "hardware/hardware_catalogue.hpp"
#include "input/catalogue.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"
#include "model/layout_check.hpp"
#include "model/model_file.hpp"
#include "study/scenario_deployments.hpp"
#include "study/scenario_network.hpp"
#include "study/scenario_workload.hpp"
#include "study/host_memory.hpp"
#include "study/unused_keys.hpp"

namespace moeplan {
namespace fs = std::filesystem;

namespace {

/// Everything that resolving one scenario needs at hand.
struct Context {
  const DataRoot& data;
  fs::path folder;  ///< of the scenario file
  Scenario& scenario;
  bool starting_point = false;  ///< of a search: layout and support are checked of its candidates
};

/// An entry named by id or path, or written inline: loads it with `from_file(path)` or `from_json(document)`.
template <class FromFile, class FromJson>
auto load_entry(Context& context, const JsonReader& parent, std::string_view key, std::string_view kind, const fs::path& catalogue,
                const fs::path& schema, FromFile from_file, FromJson from_json) {
  const JsonReader entry = parent.at(key);
  if (entry.value().is_object()) {
    const JsonDocument document = parse_json(entry.value().dump(), entry.file(), schema, entry.pointer());
    return from_json(JsonReader(document));
  }
  if (!entry.value().is_string()) entry.fail(fmt::format("a {} is an id, a path or an object", kind));
  const fs::path file = find_catalogue_file(catalogue, entry.value().get<std::string>(), kind, context.folder, entry.where());
  context.scenario.files.push_back(file);
  return from_file(file);
}

GpuSpec load_gpu_entry(Context& context, const JsonReader& parent) {
  const fs::path schema = context.data.schema("gpu");
  return load_entry(
      context, parent, "gpu", "GPU", context.data.gpus(), schema, [&](const fs::path& file) { return load_gpu(file, schema); },
      [](const JsonReader& reader) { return read_gpu(reader); });
}

GpuSpec load_gpu_by_id(Context& context, const std::string& id, const std::string& where) {
  const fs::path file = find_catalogue_file(context.data.gpus(), id, "GPU", context.folder, where);
  context.scenario.files.push_back(file);
  return load_gpu(file, context.data.schema("gpu"));
}

/// The GPU of the node just loaded: for a node named by its path the gpu.json beside it, as moeplan-microbench leaves the two; else the catalogue's.
GpuSpec load_gpu_of_node(Context& context, const std::string& id, const JsonReader& node) {
  if (node.value().is_string()) {
    const fs::path beside = context.scenario.files.back().parent_path() / "gpu.json";
    std::error_code ignored;
    if (fs::is_regular_file(beside, ignored)) {
      context.scenario.files.push_back(beside);
      return load_gpu(beside, context.data.schema("gpu"));
    }
  }
  return load_gpu_by_id(context, id, node.where());
}

NodeSpec load_node_by_id(Context& context, const std::string& id, const std::string& where) {
  const fs::path file = find_catalogue_file(context.data.nodes(), id, "node", context.folder, where);
  context.scenario.files.push_back(file);
  return load_node(file, context.data.schema("node"));
}

/// The node, the GPU in it, and how many of them may be used.
ClusterSpec resolve_cluster(Context& context, const JsonReader& reader) {
  ClusterSpec cluster;
  if (!reader.has("node") && !reader.has("gpu")) reader.fail("name a \"node\" or a \"gpu\"");
  if (reader.has("gpu")) cluster.gpu = load_gpu_entry(context, reader);
  if (reader.has("node")) {
    const fs::path schema = context.data.schema("node");
    cluster.node = load_entry(
        context, reader, "node", "node", context.data.nodes(), schema, [&](const fs::path& file) { return load_node(file, schema); },
        [](const JsonReader& entry) { return read_node(entry); });
    if (!reader.has("gpu")) cluster.gpu = load_gpu_of_node(context, cluster.node.gpu, reader.at("node"));
  } else {
    cluster.node = load_node_by_id(context, cluster.gpu.default_node, reader.at("gpu").where());
  }
  if (cluster.node.gpu != cluster.gpu.id) {
    reader.fail(fmt::format("node '{}' holds '{}', not '{}'", cluster.node.id, cluster.node.gpu, cluster.gpu.id));
  }
  cluster.node.peer_to_peer = reader.boolean("peer_to_peer", cluster.node.peer_to_peer);
  cluster.nodes = static_cast<int>(reader.integer("nodes", 1));
  const std::int64_t all = static_cast<std::int64_t>(cluster.nodes) * cluster.node.gpus;
  const std::int64_t used = reader.integer("gpus", all);
  if (used > all) {
    reader.at("gpus").fail(fmt::format("{} GPUs asked of a cluster of {} ({} x {} of {})", used, all, cluster.nodes, cluster.node.id, cluster.node.gpus));
  }
  cluster.gpus = static_cast<int>(used);
  cluster.fabric = parse_fabric(reader);
  return cluster;
}

ParallelLayout parse_layout(const JsonReader& deployment) {
  ParallelLayout layout;
  if (!deployment.has("parallel")) return layout;
  const JsonReader parallel = deployment.at("parallel");
  layout.tensor = static_cast<int>(parallel.integer("tensor", 1));
  layout.pipeline = static_cast<int>(parallel.integer("pipeline", 1));
  layout.expert = static_cast<int>(parallel.integer("expert", 1));
  layout.attention_data = static_cast<int>(parallel.integer("attention_data", 1));
  return layout;
}

DeploymentPrecision parse_precision(const JsonReader& deployment, const ModelSpec& model, const EngineProfile& engine) {
  DeploymentPrecision precision;
  precision.weights = model.native.weights;
  precision.experts = model.native.experts;
  if (!deployment.has("precision")) {
    precision.kv_cache = default_kv_cache(engine, precision);
    return precision;
  }
  const JsonReader reader = deployment.at("precision");
  precision.weights = reader.precision("weights", precision.weights);
  // Naming only the weights means the whole checkpoint, experts included.
  precision.experts = reader.precision("experts", reader.has("weights") ? precision.weights : precision.experts);
  precision.kv_cache = reader.precision("kv_cache", default_kv_cache(engine, precision));
  precision.embeddings = reader.precision("embeddings", precision.embeddings);
  return precision;
}

void apply_scheduler(const JsonReader& reader, Scenario& scenario) {
  SchedulerConfig& s = scenario.deployment.scheduler;
  parse_scheduling(reader, scenario.deployment.features, s);
  s.max_batch_requests = static_cast<int>(reader.integer("max_batch_requests", s.max_batch_requests));
  s.max_batch_tokens = static_cast<int>(reader.integer("max_batch_tokens", s.max_batch_tokens));
  s.chunked_prefill = reader.boolean("chunked_prefill", s.chunked_prefill);
  s.kv_block_tokens = static_cast<int>(reader.integer("kv_block_tokens", s.kv_block_tokens));
  s.memory_fraction = reader.number("memory_fraction", s.memory_fraction);
  s.admission_output_reserve = reader.number("admission_output_reserve", s.admission_output_reserve);
  s.prefix_caching = reader.boolean("prefix_caching", s.prefix_caching);
  s.max_context = static_cast<int>(reader.integer("max_context", s.max_context));
  if (reader.has("runtime_reserve")) scenario.deployment.engine.runtime_reserve = reader.bytes("runtime_reserve");
  if (reader.has("prefill_mode")) {
    const std::string mode = reader.string("prefill_mode");
    s.prefill_mode = mode == "static" ? PrefillMode::kStatic : mode == "separate" ? PrefillMode::kSeparate : PrefillMode::kMixed;
  }
  scenario.router = request_routing(reader.string("router", "round_robin")).value_or(RequestRouting::kRoundRobin);
}

std::optional<LoraSpec> parse_lora(const JsonReader& deployment) {
  if (!deployment.has("lora")) return std::nullopt;
  const JsonReader reader = deployment.at("lora");
  LoraSpec lora;
  lora.rank = static_cast<int>(reader.integer("rank"));
  lora.resident = static_cast<int>(reader.integer("resident"));
  if (reader.has("targets")) {
    const std::vector<std::string> targets = reader.strings("targets");
    const auto named = [&](const char* target) { return std::find(targets.begin(), targets.end(), target) != targets.end(); };
    lora.attention = named("attention");
    lora.dense_ffn = named("dense_ffn");
    lora.shared_experts = named("shared_experts");
    lora.experts = named("experts");
  }
  return lora;
}

/// Engine, layout, precisions, scheduler and cost profile.
void resolve_deployment(Context& context, const JsonReader& root) {
  Scenario& scenario = context.scenario;
  DeploymentConfig& deployment = scenario.deployment;
  static const nlohmann::json kEmpty = nlohmann::json::object();
  const JsonReader reader = root.has("deployment") ? root.at("deployment") : JsonReader(kEmpty, root.where(), "/deployment");
  const fs::path schema = context.data.schema("engine");
  if (reader.has("engine")) {
    deployment.engine = load_entry(
        context, reader, "engine", "engine", context.data.engines(), schema, [&](const fs::path& file) { return load_engine(file, schema); },
        [](const JsonReader& entry) { return read_engine(entry); });
  } else {
    const fs::path file = context.data.engines() / "vllm.json";
    context.scenario.files.push_back(file);
    deployment.engine = load_engine(file, schema);
  }
  deployment.engine = deployment.engine.for_gpu(deployment.cluster.gpu);
  deployment.scheduler = deployment.engine.scheduler;
  deployment.features = parse_serving_features(reader, deployment.cluster.node);
  if (reader.has("scheduler")) apply_scheduler(reader.at("scheduler"), scenario);
  apply_communication(reader, deployment.engine);
  deployment.layout = parse_layout(reader);
  deployment.precision = parse_precision(reader, deployment.model, deployment.engine);
  deployment.lora = parse_lora(reader);
  deployment.offload = parse_offload(reader, deployment);
  if (reader.has("speculation")) {
    const JsonReader speculation = reader.at("speculation");
    deployment.features.speculation = parse_speculation(speculation);
    if (!speculation.has("model") && !speculation.has("mtp_layers") && deployment.model.mtp_layers == 0) {
      scenario.warnings.push_back("the catalogue knows no multi-token-prediction head of this model: one layer is assumed; state mtp_layers, or name a drafting model");
    }
    if (speculation.has("model")) {
      deployment.features.speculation->model = load_entry(
          context, speculation, "model", "model", context.data.models(), context.data.schema("model"),
          [&](const fs::path& file) { return load_model(file, context.data.schema_folder()); }, [](const JsonReader& entry) { return parse_model(entry); });
    }
  }
  scenario.replicas = static_cast<int>(reader.integer("replicas", 1));
  scenario.fleet = parse_fleet(reader, deployment.cluster.node, scenario.replicas);
  if (reader.has("cost_profile")) {
    const std::string profile = reader.string("cost_profile");
    if (profile != "datasheet") {
      deployment.cost_profile =
          find_catalogue_file(context.data.fitted(), profile, "cost profile", context.folder, reader.at("cost_profile").where());
    }
  } else {
    deployment.cost_profile = default_cost_profile(context.data, deployment.cluster.gpu.id);
  }
  if (!deployment.cost_profile.empty()) scenario.files.push_back(deployment.cost_profile);
  if (context.starting_point) return;
  const int redundant = root.has("routing") ? static_cast<int>(std::clamp<std::int64_t>(root.at("routing").integer("redundant_experts", 0), 0, 4096)) : 0;
  check_layout(deployment.model, deployment.layout, reader.has("parallel") ? reader.at("parallel").where() : reader.where(), redundant);
  const std::int64_t needed = static_cast<std::int64_t>(deployment.layout.gpus()) * scenario.places();
  if (needed > deployment.cluster.gpus) {
    reader.fail(fmt::format("{} replicas x {} GPUs (tensor {} x pipeline {} x attention_data {}) need {} GPUs, but the cluster offers {}",
                            scenario.places(), deployment.layout.gpus(), deployment.layout.tensor, deployment.layout.pipeline,
                            deployment.layout.attention_data, needed, deployment.cluster.gpus));
  }
}

/// A pool: the deployment so far with what `reader` changes of it.
Scenario resolve_pool(Context& context, const JsonReader& reader, const EngineProfile& engine) {
  Scenario pool = context.scenario;
  DeploymentConfig& d = pool.deployment;
  if (reader.has("cluster")) {
    Context own{context.data, context.folder, pool};
    d.cluster = resolve_cluster(own, reader.at("cluster"));
    const SchedulerConfig stated = d.scheduler;
    d.engine = engine.for_gpu(d.cluster.gpu);
    d.scheduler = stated;
    d.cost_profile = d.cost_profile.empty() ? fs::path() : default_cost_profile(context.data, d.cluster.gpu.id);
    if (!d.cost_profile.empty()) pool.files.push_back(d.cost_profile);
  }
  if (reader.has("parallel")) d.layout = parse_layout(reader);
  if (reader.has("scheduler")) {
    const JsonReader scheduler = reader.at("scheduler");
    if (scheduler.has("router")) scheduler.at("router").fail("both pools have one router: state it in deployment.scheduler");
    apply_scheduler(scheduler, pool);
  }
  pool.replicas = static_cast<int>(reader.integer("replicas", 1));
  check_layout(d.model, d.layout, reader.has("parallel") ? reader.at("parallel").where() : reader.where());
  const std::int64_t needed = static_cast<std::int64_t>(d.layout.gpus()) * pool.replicas;
  if (needed > d.cluster.gpus) {
    reader.fail(fmt::format("{} replicas x {} GPUs need {} GPUs, but the cluster offers {}", pool.replicas, d.layout.gpus(), needed, d.cluster.gpus));
  }
  return pool;
}

/// "disaggregation": { "prefill": {...}, "decode": {...}, "overlap": "layerwise", "latency": "1 ms", "stay_below_tokens": 512 }
void resolve_disaggregation(Context& context, const JsonReader& root) {
  if (!root.has("deployment") || !root.at("deployment").has("disaggregation")) return;
  const JsonReader deployment = root.at("deployment");
  const JsonReader reader = deployment.at("disaggregation");
  if (deployment.has("replicas")) deployment.at("replicas").fail("with disaggregation, state the replicas of prefill and of decode");
  Scenario& scenario = context.scenario;
  const EngineProfile& engine = scenario.deployment.engine;
  Scenario prefill = resolve_pool(context, reader.at("prefill"), engine);
  Scenario decode = resolve_pool(context, reader.at("decode"), engine);
  DisaggregationSpec spec;
  spec.prefill = prefill.deployment;
  spec.prefill_replicas = prefill.replicas;
  spec.own_cluster = reader.at("prefill").has("cluster") || reader.at("decode").has("cluster");
  spec.layerwise = reader.string("overlap", "layerwise") == "layerwise";
  spec.latency = reader.has("latency") ? reader.duration("latency") : Seconds(1e-3);
  spec.stay_below_tokens = static_cast<std::int32_t>(reader.integer("stay_below_tokens", 0));
  const auto known = static_cast<std::ptrdiff_t>(scenario.files.size());
  scenario.files.insert(scenario.files.end(), prefill.files.begin() + known, prefill.files.end());
  scenario.files.insert(scenario.files.end(), decode.files.begin() + known, decode.files.end());
  scenario.deployment = decode.deployment;
  scenario.replicas = decode.replicas;
  scenario.disaggregation = spec;
  if (!spec.own_cluster && scenario.gpus() > scenario.deployment.cluster.gpus) {
    reader.fail(fmt::format("{} prefill x {} and {} decode x {} GPUs need {} GPUs, but the cluster offers {}", prefill.replicas,
                            prefill.deployment.layout.gpus(), decode.replicas, decode.deployment.layout.gpus(), scenario.gpus(),
                            scenario.deployment.cluster.gpus));
  }
}

/// What the engine refuses is wrong input; what it runs with reservations is a warning of the result.
void check_engine(const JsonReader& root, Scenario& scenario) {
  const DeploymentConfig& d = scenario.deployment;
  const SupportAnswer answer = check_support(d.engine, d.cluster.gpu, engine_use(d));
  if (!answer.ok()) (root.has("deployment") ? root.at("deployment") : root).fail(answer.refusals.front());
  scenario.warnings.insert(scenario.warnings.end(), answer.warnings.begin(), answer.warnings.end());
}

/// Popularity and placement of the experts: as stated, or as measured on the model's family. Accepted and unused for a dense model.
void resolve_routing(const JsonReader& root, const fs::path& folder, Scenario& scenario) {
  DeploymentConfig& deployment = scenario.deployment;
  const MoeSpec* moe = deployment.model.moe();
  if (moe == nullptr) return;
  if (!root.has("routing")) {
    deployment.routing = default_routing(deployment.model.family, *moe);
    return;
  }
  deployment.routing = parse_routing(root.at("routing"), folder, deployment.model.family, *moe);
  deployment.placement = parse_placement(root.at("routing"), folder, deployment.layout.expert);
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
  Context context{data, folder, scenario, starting_point};
  const JsonReader root(document);
  scenario.name = root.string("name", fs::path(document.file).stem().string());
  const fs::path model_schema = data.schema("model");
  scenario.deployment.model = load_entry(
      context, root, "model", "model", data.models(), model_schema, [&](const fs::path& file) { return load_model(file, context.data.schema_folder()); },
      [](const JsonReader& entry) { return parse_model(entry); });
  scenario.deployment.cluster = resolve_cluster(context, root.at("cluster"));
  resolve_deployment(context, root);
  resolve_routing(root, folder, scenario);
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
