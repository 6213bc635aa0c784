#include "study/scenario_deployments.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "input/json_document.hpp"
#include "input/json_reader.hpp"

namespace moeplan {

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// An entry as a scenario of its own: it stands on the scenario's cluster and, with a share, has its workload.
Scenario resolve_entry(const JsonReader& root, const JsonReader& entry, const fs::path& folder, const DataRoot& data) {
  json document = entry.value();
  document.erase("share");
  document["cluster"] = root.value().at("cluster");
  if (root.has("cost")) document["cost"] = root.value().at("cost");
  document["seed"] = root.integer("seed", 1);
  if (!entry.has("name")) document["name"] = entry.pointer().substr(entry.pointer().rfind('/') + 1);
  if (entry.has("share")) {
    if (entry.has("workload")) entry.at("share").fail("a deployment has a workload of its own or a share of the scenario's");
    document["workload"] = root.value().at("workload");
  } else if (!entry.has("workload")) {
    entry.fail("a deployment needs a workload of its own or a share of the scenario's");
  }
  return resolve_scenario(parse_json(document.dump(), entry.file(), data.schema("scenario"), entry.pointer()), folder, data);
}

/// What pools cannot do in a fleet.
void check_pools(const JsonReader& root, const Scenario& scenario, bool beside) {
  if (!scenario.disaggregation) return;
  const JsonReader deployment = root.at("deployment");
  if (scenario.fleet && scenario.fleet->autoscaling) {
    deployment.at("fleet").at("autoscaling").fail("pools do not scale: their ratio would have to be decided with their number, and no engine does that yet; leave it out");
  }
  if (scenario.fleet && scenario.fleet->spare_replicas > 0) {
    deployment.at("fleet").at("spare_replicas").fail("a spare place would belong to one of the pools; state it as a replica of that pool");
  }
  if (beside && scenario.disaggregation->own_cluster) {
    deployment.at("disaggregation").fail("several deployments stand on one cluster: pools beside others have no cluster of their own");
  }
}

/// Disks, cards and store are the cluster's: the scenario's own deployment states them for all.
WeightBandwidths cluster_bandwidths(const JsonReader& entry, const FleetSpec& own, const Scenario& scenario) {
  const NodeSpec& node = scenario.deployment.cluster.node;
  const WeightBandwidths of_all = scenario.fleet.value_or(default_fleet(node, 1)).bandwidths;
  const auto same = [](const WeightBandwidths& a, const WeightBandwidths& b) {
    return a.disk == b.disk && a.network == b.network && a.store == b.store && a.gpu == b.gpu;
  };
  if (!same(own.bandwidths, of_all) && !same(own.bandwidths, default_fleet(node, 1).bandwidths)) {
    entry.at("deployment").at("fleet").at("cold_start").fail("bandwidths are the cluster's: state them in the scenario's own deployment");
  }
  return of_all;
}

void resolve_deployments(const JsonReader& root, const fs::path& folder, const DataRoot& data, Scenario& scenario) {
  double kept = 1;
  const JsonReader list = root.at("deployments");
  for (const JsonReader& entry : list.elements()) {
    Scenario other = resolve_entry(root, entry, folder, data);
    check_pools(entry, other, true);
    const auto same_name = [&](const Scenario& s) { return s.name == other.name; };
    if (same_name(scenario) || std::any_of(scenario.others.begin(), scenario.others.end(), same_name)) {
      (entry.has("name") ? entry.at("name") : entry).fail(fmt::format("another deployment is named '{}', too: results tell them apart by name", other.name));
    }
    other.failures = scenario.failures;
    if (other.fleet) other.fleet->bandwidths = cluster_bandwidths(entry, *other.fleet, scenario);
    if (entry.has("share")) {
      const double share = entry.number("share");
      kept -= share;
      scale_workload(other.workload, share, entry.at("share").where());
    }
    for (const fs::path& file : other.files) {
      if (std::find(scenario.files.begin(), scenario.files.end(), file) == scenario.files.end()) scenario.files.push_back(file);
    }
    scenario.others.push_back(std::move(other));
  }
  if (kept < 1 && !(kept > 1e-9)) list.fail("the shares add up to 1 or more: nothing is left for the scenario's own deployment");
  if (kept < 1) scale_workload(scenario.workload, kept, list.where());
  int needed = scenario.placed_gpus();
  for (const Scenario& other : scenario.others) needed += other.placed_gpus();
  if (needed > scenario.deployment.cluster.gpus) {
    list.fail(fmt::format("all deployments together need {} GPUs, but the cluster offers {}", needed, scenario.deployment.cluster.gpus));
  }
}

}  // namespace

void resolve_fleet(const JsonReader& root, const fs::path& folder, const DataRoot& data, bool starting_point, Scenario& scenario) {
  const auto& pools = scenario.disaggregation;
  const int nodes = scenario.deployment.cluster.nodes + (pools && pools->own_cluster ? pools->prefill.cluster.nodes : 0);
  // How many nodes a plan has is not known yet.
  if (root.has("failures")) scenario.failures = parse_failures(root.at("failures"), starting_point ? std::numeric_limits<int>::max() : nodes);
  if (starting_point) {
    if (root.has("deployments")) {
      root.at("deployments").fail("a plan sizes one deployment: which of several should grow is a question of its own; plan each, then simulate them together");
    }
    return;
  }
  check_pools(root, scenario, root.has("deployments"));
  if (root.has("deployments")) resolve_deployments(root, folder, data, scenario);
  if (scenario.fleet && !scenario.fleet->autoscaling) scenario.spare_gpus = scenario.fleet->spare_replicas * scenario.deployment.layout.gpus();
}

}  // namespace moeplan
