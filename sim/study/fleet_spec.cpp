#include "study/fleet_spec.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "input/json_reader.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

constexpr double kDiskBandwidth = 2e9;  // per node, as plans assume
constexpr double kHoursPerYear = 8766;

std::string time_text(Seconds time) { return fmt::format("{} s", time.value()); }
std::string rate_text(double rate) { return fmt::format("{} B/s", rate); }

AutoscalingConfig parse_autoscaling(const JsonReader& reader) {
  AutoscalingConfig a;
  a.min_replicas = static_cast<int>(reader.integer("min_replicas", 1));
  a.max_replicas = static_cast<int>(reader.integer("max_replicas"));
  if (a.min_replicas > a.max_replicas) {
    reader.at("max_replicas").fail(fmt::format("{} is below min_replicas {}", a.max_replicas, a.min_replicas));
  }
  a.metric = scale_metric(reader.string("metric", "outstanding_requests")).value_or(ScaleMetric::kOutstandingRequests);
  a.target = reader.number("target");
  a.up_above = reader.number("up_above", 1.1 * a.target);
  a.down_below = reader.number("down_below", 0.9 * a.target);
  if (a.up_above < a.target) reader.at("up_above").fail(fmt::format("{} is below the target {}", a.up_above, a.target));
  if (a.down_below > a.target) reader.at("down_below").fail(fmt::format("{} is above the target {}", a.down_below, a.target));
  if (a.metric == ScaleMetric::kKvUse && a.target > 1) reader.at("target").fail("kv_use is a share of the KV cache, 0 to 1");
  const auto time = [&](const char* key, Seconds fallback) { return reader.has(key) ? reader.duration(key) : fallback; };
  a.period = time("period", a.period);
  if (a.period.value() < 0.1) reader.at("period").fail("accepted: 0.1 s or more");
  a.up_cooldown = time("up_cooldown", a.up_cooldown);
  a.down_cooldown = time("down_cooldown", a.down_cooldown);
  return a;
}

void parse_cold_start(const JsonReader& reader, const NodeSpec& node, FleetSpec& fleet) {
  if (reader.has("start")) fleet.start = reader.duration("start");
  fleet.source = weight_source(reader.string("weights_from", "disk")).value_or(WeightSource::kDisk);
  for (const auto& [key, rate] : {std::pair{"disk_bandwidth", &fleet.bandwidths.disk}, {"network_bandwidth", &fleet.bandwidths.network},
                                  {"store_bandwidth", &fleet.bandwidths.store}, {"gpu_bandwidth", &fleet.bandwidths.gpu}}) {
    if (!reader.has(key)) continue;
    *rate = reader.bandwidth(key).value();
    if (!(*rate > 0)) reader.at(key).fail("accepted: above 0");
  }
  if (fleet.source == WeightSource::kNetwork && !(fleet.bandwidths.network > 0)) {
    reader.fail(fmt::format("node '{}' names no network cards; give network_bandwidth, per node", node.id));
  }
}

}  // namespace

FleetSpec default_fleet(const NodeSpec& node, int replicas) {
  FleetSpec fleet;
  fleet.first_replicas = replicas;
  fleet.bandwidths.disk = kDiskBandwidth;
  fleet.bandwidths.network = node.nics * node.nic_bandwidth.value();
  const double host = node.host_bandwidth.value() > 0 ? node.host_bandwidth.value() : node.pcie_bandwidth.value();
  if (host > 0) fleet.bandwidths.gpu = host;
  return fleet;
}

std::optional<FleetSpec> parse_fleet(const JsonReader& deployment, const NodeSpec& node, int& replicas) {
  if (!deployment.has("fleet")) return std::nullopt;
  const JsonReader reader = deployment.at("fleet");
  FleetSpec fleet = default_fleet(node, replicas);
  if (reader.has("cold_start")) parse_cold_start(reader.at("cold_start"), node, fleet);
  fleet.spare_replicas = static_cast<int>(reader.integer("spare_replicas", 0));
  if (!reader.has("autoscaling")) return fleet;
  fleet.autoscaling = parse_autoscaling(reader.at("autoscaling"));
  const AutoscalingConfig& a = *fleet.autoscaling;
  if (fleet.spare_replicas > 0) reader.at("spare_replicas").fail("with autoscaling, max_replicas says how many places there are");
  if (!deployment.has("replicas")) fleet.first_replicas = a.min_replicas;
  if (fleet.first_replicas < a.min_replicas || fleet.first_replicas > a.max_replicas) {
    deployment.at("replicas").fail(fmt::format("{} replicas at the beginning, but autoscaling keeps {} to {}", fleet.first_replicas, a.min_replicas, a.max_replicas));
  }
  replicas = a.max_replicas;
  return fleet;
}

FailureConfig parse_failures(const JsonReader& reader, int nodes) {
  FailureConfig f;
  const int stated = (reader.has("mean_time_between_failures") ? 1 : 0) + (reader.has("failures_per_node_year") ? 1 : 0) + (reader.has("times") ? 1 : 0);
  if (stated != 1) reader.fail("state one of mean_time_between_failures (of a node), failures_per_node_year, times");
  if (reader.has("mean_time_between_failures")) {
    const double hours = reader.duration("mean_time_between_failures").value() / 3600;
    if (!(hours > 0)) reader.at("mean_time_between_failures").fail("accepted: above 0");
    f.failures_per_node_year = kHoursPerYear / hours;
  }
  f.failures_per_node_year = reader.number("failures_per_node_year", f.failures_per_node_year);
  if (reader.has("times")) {
    for (const JsonReader& item : reader.at("times").elements()) {
      const auto node = item.integer("node");
      if (node >= nodes) item.at("node").fail(fmt::format("the cluster's nodes are 0 to {}", nodes - 1));
      f.given.push_back({static_cast<int>(node), to_sim_time(item.duration("at"))});
    }
  }
  if (reader.has("restart")) f.restart = reader.duration("restart");
  f.retries = static_cast<int>(reader.integer("retries", f.retries));
  if (reader.has("back_off")) f.back_off = reader.duration("back_off");
  return f;
}

json fleet_json(const FleetSpec& fleet) {
  json out;
  if (const auto& a = fleet.autoscaling) {
    out["autoscaling"] = {{"min_replicas", a->min_replicas},
                          {"max_replicas", a->max_replicas},
                          {"metric", to_string(a->metric)},
                          {"target", a->target},
                          {"up_above", a->up_above},
                          {"down_below", a->down_below},
                          {"period", time_text(a->period)},
                          {"up_cooldown", time_text(a->up_cooldown)},
                          {"down_cooldown", time_text(a->down_cooldown)}};
  }
  const WeightBandwidths& b = fleet.bandwidths;
  out["cold_start"] = {{"start", time_text(fleet.start)}, {"weights_from", to_string(fleet.source)}, {"disk_bandwidth", rate_text(b.disk)}};
  if (b.network > 0) out["cold_start"]["network_bandwidth"] = rate_text(b.network);
  if (b.store < FlowNetwork::kUnlimited) out["cold_start"]["store_bandwidth"] = rate_text(b.store);
  if (b.gpu < FlowNetwork::kUnlimited) out["cold_start"]["gpu_bandwidth"] = rate_text(b.gpu);
  if (fleet.spare_replicas > 0) out["spare_replicas"] = fleet.spare_replicas;
  return out;
}

json failures_json(const FailureConfig& f) {
  json out = {{"restart", time_text(f.restart)}, {"retries", f.retries}, {"back_off", time_text(f.back_off)}};
  if (f.given.empty()) out["failures_per_node_year"] = f.failures_per_node_year;
  for (const GivenFailure& g : f.given) out["times"].push_back({{"node", g.node}, {"at", time_text(to_seconds(g.at))}});
  return out;
}

}  // namespace moeplan
