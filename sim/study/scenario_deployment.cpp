// The "deployment" of a scenario: engine, layout, precisions, scheduler; and the pools of a disaggregated one.
#include <algorithm>

#include "hardware/hardware_catalogue.hpp"
#include "model/layout_check.hpp"
#include "model/model_file.hpp"
#include "study/scenario_context.hpp"
#include "study/scenario_network.hpp"

namespace moeplan {
namespace fs = std::filesystem;

namespace {

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

/// A pool: the deployment so far with what `reader` changes of it.
Scenario resolve_pool(ScenarioContext& context, const JsonReader& reader, const EngineProfile& engine) {
  Scenario pool = context.scenario;
  DeploymentConfig& d = pool.deployment;
  if (reader.has("cluster")) {
    ScenarioContext own{context.data, context.folder, pool};
    const FabricConfig around = d.cluster.fabric;
    d.cluster = resolve_cluster(own, reader.at("cluster"));
    if (!reader.at("cluster").has("network")) d.cluster.fabric = around;
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

/// What connects pools on clusters of their own: the scenario's network, else a pool's.
std::optional<FabricConfig> fabric_between(const JsonReader& root, const JsonReader& pools) {
  if (root.at("cluster").has("network")) return parse_fabric(root.at("cluster"));
  for (const char* pool : {"prefill", "decode"}) {
    const JsonReader reader = pools.at(pool);
    if (reader.has("cluster") && reader.at("cluster").has("network")) return parse_fabric(reader.at("cluster"));
  }
  return std::nullopt;
}

}  // namespace

void resolve_deployment(ScenarioContext& context, const JsonReader& root) {
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
  if (!reader.has("disaggregation")) check_communication(reader, deployment);  // pools may have layouts of their own
  const std::int64_t needed = static_cast<std::int64_t>(deployment.layout.gpus()) * scenario.places();
  if (needed > deployment.cluster.gpus) {
    reader.fail(fmt::format("{} replicas x {} GPUs (tensor {} x pipeline {} x attention_data {}) need {} GPUs, but the cluster offers {}",
                            scenario.places(), deployment.layout.gpus(), deployment.layout.tensor, deployment.layout.pipeline,
                            deployment.layout.attention_data, needed, deployment.cluster.gpus));
  }
}

void resolve_disaggregation(ScenarioContext& context, const JsonReader& root) {
  if (!root.has("deployment") || !root.at("deployment").has("disaggregation")) return;
  const JsonReader deployment = root.at("deployment");
  const JsonReader reader = deployment.at("disaggregation");
  if (deployment.has("replicas")) deployment.at("replicas").fail("with disaggregation, state the replicas of prefill and of decode");
  Scenario& scenario = context.scenario;
  const EngineProfile& engine = scenario.deployment.engine;
  Scenario prefill = resolve_pool(context, reader.at("prefill"), engine);
  Scenario decode = resolve_pool(context, reader.at("decode"), engine);
  DisaggregationSpec spec;
  for (const Scenario* pool : {&prefill, &decode}) check_communication(deployment, pool->deployment);
  spec.prefill = prefill.deployment;
  spec.prefill_replicas = prefill.replicas;
  spec.own_cluster = reader.at("prefill").has("cluster") || reader.at("decode").has("cluster");
  if (spec.own_cluster) spec.fabric = fabric_between(root, reader);
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

}  // namespace moeplan
