// Money and power per hour of a number of GPUs: a pure function of prices, hardware and how busy the GPUs are. Planner, comparison and
// simulation use it alike.
//
// Rented GPUs are charged one by one, as the list's prices are; owned ones by whole nodes: who runs four GPUs of an eight-GPU node has bought the node, and
// the other four idle in it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "study/cost_spec.hpp"

namespace moeplan {

/// GPUs that are paid for.
struct CostDemand {
  int gpus = 0;        ///< in service
  int spare_gpus = 0;  ///< kept for failures: paid for, idle
  double busy = 1;     ///< share of the time that GPUs in service are in a step, 0 to 1
  double held = 1;     ///< share of the time that GPUs in service are held; one that is not costs nothing and draws nothing
  bool part_of_nodes = false;  ///< others use the rest of the nodes: owned ones are charged by the share of their GPUs, too
};

struct CostItem {
  std::string item;  ///< "rental", "capital", "network", "rack", "power", "staff"
  double usd_per_hour = 0;
  std::string source;
};

/// Electric power of the GPUs and their share of the nodes, at the nodes' plugs: the site draws `pue` times as much.
struct PowerDraw {
  double idle_w = 0;  ///< nothing to do
  double load_w = 0;  ///< all GPUs in service in steps all the time, spares idle: what the supply must carry
  double mean_w = 0;  ///< at the demand's busy share, linear between the two
  double pue = 1;
  std::string source;
};

struct ClusterCost {
  std::optional<double> usd_per_hour;  ///< nothing where the scenario states neither rental nor owned
  std::vector<CostItem> items;         ///< add up to it
  std::optional<PowerDraw> power;      ///< nothing where neither datasheet nor scenario tells a GPU's power
  double gpus_paid = 0;                ///< all of the nodes where these are owned
};

/// Never falls when `gpus`, `spare_gpus` or `busy` rises, and is linear in each, but for whole nodes: at `busy` = 0 it bounds the cost from below.
/// Capital: annuity of the price less the resale value discounted from the end of the years; an hour is 1/8,766 of a year.
/// Power where not stated: a GPU draws its TDP in a step and 12 % of it idle; the rest of the node its maximum less the GPUs' TDPs (half of
/// the GPUs' TDPs where no maximum is known) with busy GPUs and half of that idle. All but the TDP and the maximum are assumptions, and
/// `source` says so.
ClusterCost cluster_cost(const CostSpec& cost, const GpuSpec& gpu, const NodeSpec& node, const CostDemand& demand);

}  // namespace moeplan
