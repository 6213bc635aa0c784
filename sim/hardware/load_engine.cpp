#include "hardware/hardware_catalogue.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"

namespace moeplan {
namespace {

// The enumerator whose name stands under `key`.
template <class Enum, std::size_t N>
Enum enum_of(const JsonReader& json, const char* key, const Enum (&values)[N]) {
  const std::string name = json.string(key);
  std::string accepted;
  for (const Enum value : values) {
    if (to_string(value) == name) return value;
    accepted += (accepted.empty() ? "" : ", ") + std::string(to_string(value));
  }
  json.at(key).fail("found '" + name + "', accepted: " + accepted);
}

ExpertParallelComm expert_comm_of(const JsonReader& json) {
  return enum_of(json, "expert_communication", {ExpertParallelComm::kAllGatherReduceScatter, ExpertParallelComm::kAllToAll, ExpertParallelComm::kDeepEp,
                                                ExpertParallelComm::kNvlinkOneSided, ExpertParallelComm::kNvlinkTwoSided});
}

int positive(const JsonReader& json, const char* key) {
  const std::int64_t value = json.integer(key);
  if (value < 1 || value > 100'000'000) json.at(key).fail("found " + std::to_string(value) + ", accepted: 1 to 100000000");
  return static_cast<int>(value);
}

double positive_factor(const JsonReader& json, const char* key) {
  const double value = json.number(key);
  if (!(value >= 0.1 && value <= 10)) json.at(key).fail("found a factor outside 0.1 to 10");
  return value;
}

SchedulerConfig read_scheduler(const JsonReader& json) {
  SchedulerConfig out;
  out.max_batch_requests = positive(json, "max_batch_requests");
  out.max_batch_tokens = positive(json, "max_batch_tokens");
  out.chunked_prefill = json.boolean("chunked_prefill", true);
  out.prefill_mode = enum_of(json, "prefill_mode", {PrefillMode::kMixed, PrefillMode::kSeparate});
  out.kv_block_tokens = positive(json, "kv_block_tokens");
  out.memory_fraction = json.number("memory_fraction");
  if (!(out.memory_fraction > 0 && out.memory_fraction <= 1)) json.at("memory_fraction").fail("accepted: above 0, at most 1");
  out.admission_output_reserve = json.number("admission_output_reserve", 0.0);
  if (!(out.admission_output_reserve >= 0 && out.admission_output_reserve <= 1)) json.at("admission_output_reserve").fail("accepted: 0 to 1");
  out.prefix_caching = json.boolean("prefix_caching", false);
  out.prefill_wait_steps = static_cast<int>(json.integer("prefill_wait_steps", 0));
  out.schedules_ahead = json.boolean("schedules_ahead", false);
  return out;
}

std::vector<Precision> read_formats(const JsonReader& json, const char* key) {
  std::vector<Precision> formats;
  for (const std::string& name : json.strings(key)) {
    const auto format = precision_from_string(name);
    if (!format) json.at(key).fail("unknown number format '" + name + "'");
    formats.push_back(*format);
  }
  return formats;
}

EngineOverride read_override(const JsonReader& json) {
  EngineOverride out;
  const JsonReader when = json.at("when");
  out.architectures = when.strings("architecture");
  out.not_architectures = when.strings("not_architecture");
  if (when.has("memory_at_least")) out.memory_at_least = when.bytes("memory_at_least");
  if (when.has("memory_below")) out.memory_below = when.bytes("memory_below");
  if (json.has("max_batch_requests")) out.max_batch_requests = positive(json, "max_batch_requests");
  if (json.has("max_batch_tokens")) out.max_batch_tokens = positive(json, "max_batch_tokens");
  if (json.has("prefill_multiplier")) out.prefill_kernel_multiplier = positive_factor(json, "prefill_multiplier");
  if (json.has("expert_communication")) out.expert_comm = expert_comm_of(json);
  if (json.has("all_reduce")) out.all_reduce = json.strings("all_reduce");
  if (json.has("fp8_kv_cache_with")) out.fp8_kv_cache_with = read_formats(json, "fp8_kv_cache_with");
  out.source = json.string("source");
  return out;
}

SupportByArchitecture read_row(const JsonReader& json) {
  SupportByArchitecture row;
  for (const auto& [architecture, value] : json.members()) {
    const std::string text = json.string(architecture);
    if (text == "yes") {
      row[architecture] = {};
    } else if (text.rfind("warn: ", 0) == 0) {
      row[architecture] = {Support::kWarn, text.substr(6)};
    } else if (text.rfind("no: ", 0) == 0) {
      row[architecture] = {Support::kNo, text.substr(4)};
    } else {
      value.fail("found '" + text + "', accepted: 'yes', 'warn: reason', 'no: reason'");
    }
  }
  return row;
}

std::map<Precision, SupportByArchitecture> read_precisions(const JsonReader& json, const char* key) {
  std::map<Precision, SupportByArchitecture> out;
  if (!json.has(key)) return out;
  for (const auto& [name, value] : json.at(key).members()) {
    const auto precision = precision_from_string(name);
    if (!precision) value.fail("unknown precision '" + name + "'");
    out[*precision] = read_row(value);
  }
  return out;
}

EngineSupport read_support(const JsonReader& json) {
  EngineSupport out;
  out.architectures = read_row(json.at("architectures"));
  for (const auto& [name, value] : json.at("features").members()) out.features[name] = read_row(value);
  out.weights = read_precisions(json, "weights");
  out.experts = read_precisions(json, "experts");
  out.kv_cache = read_precisions(json, "kv_cache");
  return out;
}

}  // namespace

EngineProfile read_engine(const JsonReader& json) {
  EngineProfile out;
  out.id = json.string("id");
  out.version = json.string("version");
  out.scheduler = read_scheduler(json.at("scheduler"));
  const JsonReader memory = json.at("memory");
  out.memory_formula = enum_of(memory, "formula", {MemoryFormula::kFractionOfTotal, MemoryFormula::kFractionOfFree});
  out.runtime_reserve = memory.bytes("runtime_reserve");
  out.sampler_bytes_per_logit = memory.number("sampler_bytes_per_logit", out.sampler_bytes_per_logit);
  if (!(out.sampler_bytes_per_logit >= 2 && out.sampler_bytes_per_logit <= 100)) memory.at("sampler_bytes_per_logit").fail("accepted: 2 to 100");
  if (memory.has("fp8_kv_cache_with")) out.fp8_kv_cache_with = read_formats(memory, "fp8_kv_cache_with");
  const JsonReader host = json.at("host");
  out.host_per_step = host.duration("per_step");
  out.host_per_sequence = host.duration("per_sequence");
  if (host.has("per_sequence_across")) out.host_per_sequence_across = host.duration("per_sequence_across");
  if (out.host_per_sequence_across.value() > out.host_per_sequence.value()) host.at("per_sequence_across").fail("is a part of per_sequence and cannot be longer");
  out.host_per_layer = host.duration("per_layer");
  if (host.has("launches_per_latent_layer")) out.launches_per_latent_layer = host.duration("launches_per_latent_layer");
  out.request_latency = host.duration("request_latency");
  if (host.has("request_per_token")) out.request_per_token = host.duration("request_per_token");
  if (host.has("request_per_stream")) out.request_per_stream = host.duration("request_per_stream");
  out.stream_interval = host.has("stream_interval") ? positive(host, "stream_interval") : 1;
  const JsonReader kernels = json.at("kernels");
  out.kernel_multiplier = positive_factor(kernels, "multiplier");
  out.burst_clock_multiplier = out.kernel_multiplier;
  out.prefill_kernel_multiplier = positive_factor(kernels, "prefill_multiplier");
  if (kernels.has("experts_in_prefill")) out.experts_in_prefill = positive_factor(kernels, "experts_in_prefill");
  out.shared_expert_stream = static_cast<int>(kernels.integer("shared_expert_stream", 0));
  out.all_reduce = kernels.strings("all_reduce");
  out.kernel_preference = kernels.strings("preference");
  out.expert_comm = expert_comm_of(kernels);
  if (json.has("overlap")) {
    out.overlap.two_batch = json.at("overlap").boolean("two_batch", false);
    out.overlap.shared_expert = json.at("overlap").boolean("shared_expert", false);
  }
  if (json.has("overrides")) {
    for (const JsonReader& element : json.at("overrides").elements()) out.overrides.push_back(read_override(element));
  }
  out.supports = read_support(json.at("supports"));
  const JsonReader sources = json.at("sources");
  for (const auto& [field, value] : sources.members()) out.sources[field] = sources.string(field);
  out.notes = json.string("notes", "");
  return out;
}

EngineProfile load_engine(const std::filesystem::path& file, const std::filesystem::path& schema) {
  const JsonDocument document = load_json(file, schema);
  return read_engine(JsonReader(document));
}

}  // namespace moeplan
