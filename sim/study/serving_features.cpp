#include "study/serving_features.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "input/json_reader.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

const char* reload_name(KvReload reload) {
  switch (reload) {
    case KvReload::kFaster: return "faster";
    case KvReload::kAlways: return "always";
    case KvReload::kCompute: return "never";
  }
  return "";
}

KvTiersConfig parse_kv_tiers(const JsonReader& reader, const NodeSpec& node) {
  KvTiersConfig tiers;
  if (reader.has("host_memory")) tiers.host_memory = reader.bytes("host_memory");
  if (reader.has("nvme")) tiers.nvme = reader.bytes("nvme");
  if (tiers.host_memory.value() <= 0) reader.fail("host_memory is needed: KV blocks reach NVMe through it");
  tiers.host_bandwidth = reader.has("host_bandwidth") ? reader.bandwidth("host_bandwidth") : node.host_bandwidth;
  if (tiers.host_bandwidth.value() <= 0) reader.fail(fmt::format("node '{}' states no bandwidth to its host's memory; give host_bandwidth", node.id));
  if (tiers.nvme.value() == 0 && reader.has("nvme_bandwidth")) reader.at("nvme_bandwidth").fail("has no effect without nvme");
  if (tiers.nvme.value() > 0) {
    if (!reader.has("nvme_bandwidth")) reader.fail("nvme needs nvme_bandwidth, per GPU");
    tiers.nvme_bandwidth = reader.bandwidth("nvme_bandwidth");
    if (tiers.nvme_bandwidth.value() <= 0) reader.at("nvme_bandwidth").fail("accepted: above 0");
  }
  const std::string reload = reader.string("reload", "faster");
  tiers.reload = reload == "always" ? KvReload::kAlways : reload == "never" ? KvReload::kCompute : KvReload::kFaster;
  return tiers;
}

/// Chances by position out of how many drafts were accepted to each length: of those that got there, the share that went on.
std::vector<double> chances_of(const JsonReader& reader, const std::vector<double>& lengths, int drafts) {
  if (static_cast<int>(lengths.size()) != drafts + 1) reader.fail(fmt::format("the histogram has {} lengths; accepted: 0 to {} accepted tokens", lengths.size(), drafts));
  double reached = 0;
  for (const double n : lengths) {
    if (!(n >= 0)) reader.fail("accepted: numbers from 0 on");
    reached += n;
  }
  if (!(reached > 0)) reader.fail("accepted: a sum above 0");
  std::vector<double> chances;
  for (int i = 0; i < drafts; ++i) {
    const double on = reached - lengths[static_cast<std::size_t>(i)];
    chances.push_back(reached > 0 ? std::max(0.0, on) / reached : 0.0);
    reached = on;
  }
  return chances;
}

std::vector<double> numbers(const JsonReader& reader) {
  std::vector<double> out;
  for (const JsonReader& item : reader.elements()) out.push_back(item.value().get<double>());
  return out;
}

std::string bytes_text(Bytes bytes) { return fmt::format("{} B", bytes.value()); }
std::string rate_text(BytesPerSecond rate) { return fmt::format("{} B/s", rate.value()); }

}  // namespace

SpeculationSpec parse_speculation(const JsonReader& reader) {
  SpeculationSpec spec;
  const auto drafts = static_cast<int>(reader.integer("draft_tokens"));
  const JsonReader acceptance = reader.at("acceptance");
  std::vector<double>& chances = spec.config.acceptance;
  if (acceptance.value().is_number()) {
    chances.assign(static_cast<std::size_t>(drafts), acceptance.value().get<double>());
  } else if (acceptance.value().is_object()) {
    chances = chances_of(acceptance.at("histogram"), numbers(acceptance.at("histogram")), drafts);
  } else {
    chances = numbers(acceptance);
    if (static_cast<int>(chances.size()) != drafts) acceptance.fail(fmt::format("{} chances for {} drafted tokens", chances.size(), drafts));
  }
  for (const double p : chances) {
    if (!(p >= 0 && p <= 1)) acceptance.fail("accepted: chances from 0 to 1");
  }
  spec.config.most_sequences = static_cast<std::int32_t>(reader.integer("most_sequences", 0));
  if (reader.has("crowded")) {
    spec.config.crowded_above = static_cast<std::int32_t>(reader.at("crowded").integer("above"));
    spec.config.crowded_factor = reader.at("crowded").number("factor");
  }
  const bool model = reader.string("method", "mtp") == "draft_model";
  if (model != reader.has("model")) reader.fail("method \"draft_model\" names a \"model\", method \"mtp\" does not");
  if (model && reader.has("mtp_layers")) reader.at("mtp_layers").fail("belongs to method \"mtp\"; a drafting model has layers of its own");
  spec.mtp_layers = reader.number("mtp_layers", 1.0);
  return spec;
}

ServingFeatures parse_serving_features(const JsonReader& deployment, const NodeSpec& node) {
  ServingFeatures features;
  if (deployment.has("kv_tiers")) features.kv_tiers = parse_kv_tiers(deployment.at("kv_tiers"), node);
  features.prefix_cache = deployment.boolean("prefix_cache", features.kv_tiers.has_value());
  if (features.kv_tiers && !features.prefix_cache) deployment.at("prefix_cache").fail("kv_tiers hold the prefix cache's blocks; leave prefix_cache on");
  return features;
}

void parse_scheduling(const JsonReader& reader, ServingFeatures& features, SchedulerConfig& config) {
  if (reader.has("policy")) {
    features.policy = scheduling_policy(reader.string("policy"));
    config = with_policy(config, *features.policy);
  }
  if (reader.has("queue_order")) {
    const std::string order = reader.string("queue_order");
    for (const QueueOrder known : {QueueOrder::kArrival, QueueOrder::kPriority, QueueOrder::kLongestPrefix}) {
      if (to_string(known) == order) config.queue_order = known;
    }
  }
  config.preempt_for_priority = reader.boolean("preempt_for_priority", config.preempt_for_priority);
  if (config.preempt_for_priority && config.queue_order != QueueOrder::kPriority) {
    if (reader.has("preempt_for_priority")) reader.at("preempt_for_priority").fail("needs queue_order \"priority\"");
    reader.at("queue_order").fail("the policy \"vllm_priority\" preempts for priority, which needs queue_order \"priority\"; state another policy, or preempt_for_priority false");
  }
  config.max_queued_requests = static_cast<int>(reader.integer("max_queued_requests", config.max_queued_requests));
  config.max_queued_tokens = reader.integer("max_queued_tokens", config.max_queued_tokens);
}

void resolve_scheduling(const ServingFeatures& features, const SchedulerConfig& s, json& scheduler) {
  if (features.policy) scheduler["policy"] = to_string(*features.policy);
  if (s.queue_order != QueueOrder::kArrival) scheduler["queue_order"] = to_string(s.queue_order);
  if (s.preempt_for_priority) scheduler["preempt_for_priority"] = true;
  if (s.max_queued_requests > 0) scheduler["max_queued_requests"] = s.max_queued_requests;
  if (s.max_queued_tokens > 0) scheduler["max_queued_tokens"] = s.max_queued_tokens;
}

void resolve_serving_features(const ServingFeatures& features, json& deployment) {
  if (features.prefix_cache) deployment["prefix_cache"] = true;
  if (const auto& spec = features.speculation) {
    const SpeculationConfig& c = spec->config;
    json& out = deployment["speculation"];
    out = {{"method", spec->model ? "draft_model" : "mtp"}, {"draft_tokens", c.acceptance.size()}, {"acceptance", c.acceptance}};
    if (spec->model) {
      out["model"] = spec->model->id;
    } else {
      out["mtp_layers"] = spec->mtp_layers;
    }
    if (c.most_sequences > 0) out["most_sequences"] = c.most_sequences;
    if (c.crowded_above > 0) out["crowded"] = {{"above", c.crowded_above}, {"factor", c.crowded_factor}};
  }
  if (const auto& t = features.kv_tiers) {
    json& tiers = deployment["kv_tiers"];
    tiers = {{"host_memory", bytes_text(t->host_memory)}, {"host_bandwidth", rate_text(t->host_bandwidth)}, {"reload", reload_name(t->reload)}};
    if (t->nvme.value() > 0) {
      tiers["nvme"] = bytes_text(t->nvme);
      tiers["nvme_bandwidth"] = rate_text(t->nvme_bandwidth);
    }
  }
}

}  // namespace moeplan
