// What the GPUs cost: rented by the hour or owned and written off.
#pragma once

#include <optional>
#include <string>

namespace moeplan {

class JsonReader;
class DataRoot;

/// An owned node: price, lifetime and power.
struct OwnedCost {
  double capex_usd = 0;            ///< per node
  double years = 4;
  double interest = 0;             ///< per year, on the capital bound
  double resale = 0;               ///< share of capex left at the end
  double power_usd_per_kwh = 0;
  double pue = 1.3;
};

struct CostSpec {
  std::optional<double> rental_usd_per_gpu_hour;
  bool rental_from_list = false;  ///< "auto": found in the list of prices
  std::string rental_source;  ///< provider, date and source of an "auto" price; "scenario" when given
  std::optional<OwnedCost> owned;
};

/// Reads the `cost` object. `gpu` selects the row of `prices` for "rental": "auto": the neocloud total-cost price, else the median on-demand
/// price. Throws InputError when no price of that GPU is known.
CostSpec parse_cost(const JsonReader& reader, const std::string& gpu, const DataRoot& data);

/// USD per GPU-hour: the rental price, or capital (annuity of capex less resale) plus power at `node_watts` over the node's `node_gpus` GPUs.
/// Nothing when the scenario states neither.
std::optional<double> usd_per_gpu_hour(const CostSpec& cost, int node_gpus, double node_watts);

}  // namespace moeplan
