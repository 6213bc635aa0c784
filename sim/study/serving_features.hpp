// How production serves, as a scenario states it beyond replicas and limits: prefix cache and its lower tiers. Each is off unless named.
//
//   "deployment": {
//     "prefix_cache": true,
//     "kv_tiers": { "host_memory": "200 GB", "nvme": "1 TB", "host_bandwidth": "50 GB/s", "nvme_bandwidth": "6 GB/s", "reload": "faster" },
//     "speculation": { "method": "mtp", "draft_tokens": 2, "acceptance": 0.8 }
//                    "acceptance": one chance, [chances by position], or { "histogram": [share of drafts accepted to length 0, 1, ...] }
//                    "method": "draft_model", "model": "llama-3.1-8b"; "most_sequences": 64; "crowded": { "above": 32, "factor": 0.9 }
//     "scheduler": { "policy": "sglang", "queue_order": "longest_prefix", "max_queued_requests": 100, "router": "prefix_aware", ... }
//   }
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "base/units.hpp"
#include "hardware/engine_profile.hpp"
#include "hardware/node_spec.hpp"
#include "serving/kv_reuse.hpp"
#include "model/model_spec.hpp"
#include "serving/scheduling_policy.hpp"
#include "serving/speculation.hpp"

namespace moeplan {

class JsonReader;

/// Room below the GPU, per GPU.
struct KvTiersConfig {
  Bytes host_memory{0}, nvme{0};
  BytesPerSecond host_bandwidth{0}, nvme_bandwidth{0};
  KvReload reload = KvReload::kFaster;
};

/// Who drafts, and what is accepted.
struct SpeculationSpec {
  SpeculationConfig config;
  double mtp_layers = 1;           ///< layers of an MTP head; unused with a drafting model
  std::optional<ModelSpec> model;  ///< drafts on one GPU of the replica, in the deployment's precisions
};

struct ServingFeatures {
  bool prefix_cache = false;
  std::optional<KvTiersConfig> kv_tiers;  ///< implies the prefix cache
  std::optional<SpeculationSpec> speculation;
  std::optional<SchedulingPolicy> policy;
};

/// Reads `speculation` without its drafting model. Throws InputError.
SpeculationSpec parse_speculation(const JsonReader& reader);

/// Reads `prefix_cache` and `kv_tiers` of a deployment. Bandwidths left out are the node's. Throws InputError.
ServingFeatures parse_serving_features(const JsonReader& deployment, const NodeSpec& node);

/// The scheduler's policy, queue and preemption keys, on top of `config`. Throws InputError.
void parse_scheduling(const JsonReader& scheduler, ServingFeatures& features, SchedulerConfig& config);

/// Adds what is on to a resolved scheduler, and to a resolved deployment.
void resolve_scheduling(const ServingFeatures& features, const SchedulerConfig& config, nlohmann::json& scheduler);
void resolve_serving_features(const ServingFeatures& features, nlohmann::json& deployment);

}  // namespace moeplan
