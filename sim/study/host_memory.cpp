#include "study/host_memory.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "input/json_reader.hpp"
#include "model/weights.hpp"

namespace moeplan {

namespace {

std::string size_text(double bytes) {
  const double gb = bytes / 1e9;
  return gb >= 1000 ? fmt::format("{:.4g} TB", gb / 1000) : fmt::format("{:.4g} GB", gb);
}

std::optional<std::string> shortage(const char* what, Bytes each, int gpus, Bytes has, const std::string& node) {
  if (has.value() == 0 || each.value() == 0 || each.as_double() * gpus <= has.as_double()) return std::nullopt;
  return fmt::format("{} GPUs of a node x {} are {} of {}, but node '{}' has {}; accepted: at most {} per GPU, or a node (path or object) that has more", gpus,
                     size_text(each.as_double()), size_text(each.as_double() * gpus), what, node, size_text(has.as_double()), size_text(has.as_double() / gpus));
}

}  // namespace

HostDemand host_demand(const DeploymentConfig& config) {
  HostDemand demand;
  if (const auto& tiers = config.features.kv_tiers) demand = {tiers->host_memory, tiers->nvme};
  const MoeSpec* moe = config.model.moe();
  if (config.offload && moe != nullptr) {
    const int local = (moe->experts + config.layout.expert - 1) / config.layout.expert;
    const Bytes experts = weight_bytes_per_gpu(config.model, config.precision, config.layout).experts;
    demand.memory += Bytes(static_cast<std::int64_t>(experts.as_double() * (local - config.offload->resident(local)) / local));
  }
  return demand;
}

std::optional<std::string> host_shortage(const NodeSpec& node, const HostDemand& demand, int gpus) {
  const int held = std::min(gpus, node.gpus);
  if (auto text = shortage("host memory", demand.memory, held, node.host_memory, node.id)) return text;
  return shortage("NVMe", demand.nvme, held, node.nvme, node.id);
}

void check_host_memory(const JsonReader& root, const Scenario& scenario) {
  const auto check = [&](const DeploymentConfig& d, int gpus) {
    const auto text = host_shortage(d.cluster.node, host_demand(d), gpus);
    if (!text) return;
    const JsonReader deployment = root.at("deployment");
    (deployment.has("kv_tiers") ? deployment.at("kv_tiers") : deployment.at("offload")).fail(*text);
  };
  const auto own = [](const Scenario& s) { return s.places() * s.deployment.layout.gpus(); };
  check(scenario.deployment, own(scenario));
  if (const auto& pools = scenario.disaggregation) {
    const int prefill = pools->prefill_replicas * pools->prefill.layout.gpus();
    check(pools->prefill, prefill);
    // Pools on like nodes share them; what a GPU keeps is the same in both unless one offloads experts.
    const HostDemand decode_keeps = host_demand(scenario.deployment), prefill_keeps = host_demand(pools->prefill);
    if (!pools->own_cluster && decode_keeps.memory == prefill_keeps.memory && decode_keeps.nvme == prefill_keeps.nvme) check(scenario.deployment, own(scenario) + prefill);
  }
  if (scenario.others.empty()) return;
  // Deployments that all stand on one node share what it has.
  const NodeSpec& node = scenario.deployment.cluster.node;
  int gpus = own(scenario);
  double memory = host_demand(scenario.deployment).memory.as_double() * gpus;
  for (const Scenario& other : scenario.others) {
    gpus += own(other);
    memory += host_demand(other.deployment).memory.as_double() * own(other);
  }
  if (gpus > node.gpus || node.host_memory.value() == 0 || memory <= node.host_memory.as_double()) return;
  root.at("deployments").fail(fmt::format("all deployments together keep {} in host memory, but node '{}' has {}", size_text(memory), node.id, size_text(node.host_memory.as_double())));
}

}  // namespace moeplan
