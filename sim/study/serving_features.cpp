#include "study/serving_features.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

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
  if (tiers.nvme.value() > 0) {
    if (!reader.has("nvme_bandwidth")) reader.fail("nvme needs nvme_bandwidth, per GPU");
    tiers.nvme_bandwidth = reader.bandwidth("nvme_bandwidth");
    if (tiers.nvme_bandwidth.value() <= 0) reader.at("nvme_bandwidth").fail("accepted: above 0");
  }
  const std::string reload = reader.string("reload", "faster");
  tiers.reload = reload == "always" ? KvReload::kAlways : reload == "never" ? KvReload::kCompute : KvReload::kFaster;
  return tiers;
}

std::string bytes_text(Bytes bytes) { return fmt::format("{} B", bytes.value()); }
std::string rate_text(BytesPerSecond rate) { return fmt::format("{} B/s", rate.value()); }

}  // namespace

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
    reader.at("preempt_for_priority").fail("needs queue_order \"priority\"");
  }
  config.max_queued_requests = static_cast<int>(reader.integer("max_queued_requests", config.max_queued_requests));
  config.max_queued_tokens = reader.integer("max_queued_tokens", config.max_queued_tokens);
}

void resolve_serving_features(const ServingFeatures& features, const SchedulerConfig& s, json& deployment) {
  json& scheduler = deployment["scheduler"];
  if (features.policy) scheduler["policy"] = to_string(*features.policy);
  if (s.queue_order != QueueOrder::kArrival) scheduler["queue_order"] = to_string(s.queue_order);
  if (s.preempt_for_priority) scheduler["preempt_for_priority"] = true;
  if (s.max_queued_requests > 0) scheduler["max_queued_requests"] = s.max_queued_requests;
  if (s.max_queued_tokens > 0) scheduler["max_queued_tokens"] = s.max_queued_tokens;
  if (features.prefix_cache) deployment["prefix_cache"] = true;
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
