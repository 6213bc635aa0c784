#include "study/scenario_deployments.hpp"

#include <fmt/core.h>

#include <algorithm>
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
  if (entry.has("share")) {
    if (entry.has("workload")) entry.at("share").fail("a deployment has a workload of its own or a share of the scenario's");
    document["workload"] = root.value().at("workload");
  } else if (!entry.has("workload")) {
    entry.fail("a deployment needs a workload of its own or a share of the scenario's");
  }
  return resolve_scenario(parse_json(document.dump(), entry.where(), data.schema("scenario")), folder, data);
}

void resolve_deployments(const JsonReader& root, const fs::path& folder, const DataRoot& data, Scenario& scenario) {
  double kept = 1;
  const JsonReader list = root.at("deployments");
  for (const JsonReader& entry : list.elements()) {
    if (entry.has("deployment") && entry.at("deployment").has("disaggregation")) {
      entry.at("deployment").at("disaggregation").fail("pools are not simulated beside other deployments");
    }
    Scenario other = resolve_entry(root, entry, folder, data);
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
  const auto gpus = [](const Scenario& s) { return s.places() * s.deployment.layout.gpus(); };
  int needed = gpus(scenario);
  for (const Scenario& other : scenario.others) needed += gpus(other);
  if (needed > scenario.deployment.cluster.gpus) {
    list.fail(fmt::format("all deployments together need {} GPUs, but the cluster offers {}", needed, scenario.deployment.cluster.gpus));
  }
}

}  // namespace

void resolve_fleet(const JsonReader& root, const fs::path& folder, const DataRoot& data, bool starting_point, Scenario& scenario) {
  if (root.has("failures")) scenario.failures = parse_failures(root.at("failures"), scenario.deployment.cluster.nodes);
  if (starting_point) {
    if (scenario.fleet) root.at("deployment").at("fleet").fail("plans size fixed fleets; leave it out and state search.load and search.reliability");
    if (scenario.failures) root.at("failures").fail("plans bear failures as search.reliability states them; leave it out");
    if (root.has("deployments")) root.at("deployments").fail("plans are for one deployment; leave it out");
    return;
  }
  if (root.has("deployments")) resolve_deployments(root, folder, data, scenario);
  if (scenario.disaggregation && scenario.in_fleet()) {
    root.at("deployment").at("disaggregation").fail("pools do not scale, fail or stand beside other deployments; leave out fleet, failures and deployments");
  }
  if (scenario.fleet && !scenario.fleet->autoscaling) scenario.spare_gpus = scenario.fleet->spare_replicas * scenario.deployment.layout.gpus();
}

}  // namespace moeplan
