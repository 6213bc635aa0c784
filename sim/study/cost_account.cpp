#include "study/cost_account.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace moeplan {

namespace {

constexpr double kHoursPerYear = 8766;
constexpr double kIdleShareOfTdp = 0.12;
constexpr double kHostOverGpus = 0.5;
constexpr double kHostIdleOverLoad = 0.5;

/// Equal payments per hour that repay `principal` with interest over the years.
double annuity_per_hour(double principal, double interest, double years) {
  if (interest <= 0) return principal / years / kHoursPerYear;
  return principal * interest / (1 - std::pow(1 + interest, -years)) / kHoursPerYear;
}

/// Watts of one GPU with its share of the node.
struct UnitPower {
  double idle_w = 0, load_w = 0;
  std::string source;
};

std::optional<UnitPower> unit_power(const PowerSpec& spec, const GpuSpec& gpu, const NodeSpec& node) {
  if (!(gpu.tdp_watts > 0) && !spec.gpu_load_w) return std::nullopt;
  const double load = spec.gpu_load_w.value_or(gpu.tdp_watts);
  const double idle = std::min(spec.gpu_idle_w.value_or(kIdleShareOfTdp * std::max(gpu.tdp_watts, load)), load);
  const double gpus = node.gpus * std::max(gpu.tdp_watts, load);
  const double host_load = spec.host_load_w ? *spec.host_load_w
                           : node.max_watts ? std::max(0.0, *node.max_watts - gpus)
                                            : kHostOverGpus * gpus;
  const double host_idle = std::min(spec.host_idle_w.value_or(kHostIdleOverLoad * host_load), host_load);
  UnitPower unit;
  unit.idle_w = idle + host_idle / node.gpus;
  unit.load_w = load + host_load / node.gpus;
  unit.source = fmt::format("GPU {:.0f} W busy ({}), {:.0f} W idle ({}); rest of the node {:.0f} W per GPU busy ({}), {:.0f} W idle ({})",
                            load, spec.gpu_load_w ? "scenario" : "TDP", idle, spec.gpu_idle_w ? "scenario" : "assumption: 12 % of TDP",
                            host_load / node.gpus,
                            spec.host_load_w ? "scenario"
                            : node.max_watts ? "node maximum less GPUs"
                                             : "assumption: half of the GPUs",
                            host_idle / node.gpus, spec.host_idle_w ? "scenario" : "assumption: half of busy");
  return unit;
}

PowerDraw power_draw(const UnitPower& unit, double pue, const CostDemand& demand) {
  PowerDraw draw;
  const double in_service = demand.gpus * demand.held;
  draw.idle_w = unit.idle_w * (in_service + demand.spare_gpus);
  draw.load_w = unit.load_w * demand.gpus + unit.idle_w * demand.spare_gpus;
  draw.mean_w = draw.idle_w + (unit.load_w - unit.idle_w) * in_service * demand.busy;
  draw.pue = pue;
  draw.source = unit.source;
  return draw;
}

void add_owned(const OwnedCost& owned, double nodes, std::vector<CostItem>& items) {
  const double discounted_resale = owned.resale * std::pow(1 + owned.interest, -owned.years);
  const std::string terms = fmt::format("over {:g} years at {:g} % interest", owned.years, owned.interest * 100);
  items.push_back(
      {"capital", nodes * annuity_per_hour(owned.capex_usd * (1 - discounted_resale), owned.interest, owned.years),
       fmt::format("{:.0f} USD per node {}, {:g} % resale; price: {}", owned.capex_usd, terms, owned.resale * 100, owned.capex_source)});
  if (owned.network_usd > 0) {
    items.push_back({"network", nodes * annuity_per_hour(owned.network_usd, owned.interest, owned.years),
                     fmt::format("{:.0f} USD per node {}; price: scenario", owned.network_usd, terms)});
  }
  if (owned.rack_usd_per_hour > 0) items.push_back({"rack", nodes * owned.rack_usd_per_hour, "scenario"});
}

/// The rest of nodes that are bought whole stands idle.
CostDemand in_whole_nodes(const CostSpec& cost, const NodeSpec& node, CostDemand demand) {
  if (!cost.owned || demand.part_of_nodes) return demand;
  const int gpus = demand.gpus + demand.spare_gpus;
  demand.spare_gpus += (gpus + node.gpus - 1) / node.gpus * node.gpus - gpus;
  return demand;
}

}  // namespace

ClusterCost cluster_cost(const CostSpec& cost, const GpuSpec& gpu, const NodeSpec& node, const CostDemand& stated) {
  const CostDemand demand = in_whole_nodes(cost, node, stated);
  ClusterCost out;
  if (const auto unit = unit_power(cost.power, gpu, node)) out.power = power_draw(*unit, cost.power.pue, demand);
  if (!cost.rental_usd_per_gpu_hour && !cost.owned) return out;
  const double gpus = demand.gpus * demand.held + demand.spare_gpus;
  out.gpus_paid = gpus;
  if (cost.rental_usd_per_gpu_hour) out.items.push_back({"rental", *cost.rental_usd_per_gpu_hour * gpus, cost.rental_source});
  if (cost.owned) add_owned(*cost.owned, gpus / node.gpus, out.items);
  if (!out.power && cost.power.usd_per_kwh > 0) {
    out.items.push_back({"power", 0, fmt::format("not known: the TDP of {} is not; state power.gpu_load", gpu.name)});
  } else if (cost.power.usd_per_kwh > 0) {
    out.items.push_back({"power", out.power->mean_w / 1000 * cost.power.pue * cost.power.usd_per_kwh,
                         fmt::format("{:.2f} kW x PUE {:g} x {:g} USD/kWh; {}", out.power->mean_w / 1000, cost.power.pue,
                                     cost.power.usd_per_kwh, out.power->source)});
  } else if (cost.owned) {
    out.items.push_back({"power", 0, "not in the cost: owned states no power_price"});
  }
  double sum = 0;
  for (const CostItem& item : out.items) sum += item.usd_per_hour;
  if (cost.staff > 0) {
    out.items.push_back({"staff", sum * cost.staff, fmt::format("{:g} % of the other items; scenario", cost.staff * 100)});
    sum += out.items.back().usd_per_hour;
  }
  out.usd_per_hour = sum;
  return out;
}

}  // namespace moeplan
