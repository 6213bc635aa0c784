// What the GPUs cost, as a scenario states it: rented by the hour or owned and written off; power, network, rack, staff; and the hosted
// price that it is compared with. cost_account.hpp turns it into money per hour.
//
// Left out on purpose: taxes, discounts by volume, egress traffic, and what a half-empty rack costs.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "hardware/gpu_spec.hpp"
#include "hardware/node_spec.hpp"

namespace moeplan {

class JsonReader;
class DataRoot;

/// An owned node: price, lifetime and what the owner pays besides.
struct OwnedCost {
  double capex_usd = 0;                        ///< per node
  bool capex_from_list = false;                ///< "auto": made from the list's price of a GPU
  std::map<std::string, double> capex_stated;  ///< per node, by GPU or node id, where several were stated
  std::string capex_source;
  double years = 4;
  double interest = 0;           ///< per year, on the capital bound
  double resale = 0;             ///< share of capex left at the end
  double network_usd = 0;        ///< per node: its share of switches and cables, written off like it, worth nothing at the end
  double rack_usd_per_hour = 0;  ///< per node: floor, rack, hands
};

/// How the rental price is chosen, so that another GPU's can be found by the same choice.
struct RentalChoice {
  bool from_list = false;
  std::string kind, provider;            ///< of the list; empty: see find_rental
  std::map<std::string, double> stated;  ///< USD per GPU-hour, by GPU id
};

/// Electric power of a node, where stated; cost_account.hpp says what is assumed where not.
struct PowerSpec {
  std::optional<double> gpu_idle_w, gpu_load_w;    ///< per GPU
  std::optional<double> host_idle_w, host_load_w;  ///< per node: everything but the GPUs
  double usd_per_kwh = 0;                          ///< 0: in the rental price
  double pue = 1.3;                                ///< power of the site over power of the nodes
};

/// What a hosted model would cost.
struct ApiPrice {
  double input_usd_per_million = 0, output_usd_per_million = 0;
  std::string source;
};

struct CostSpec {
  std::optional<double> rental_usd_per_gpu_hour;
  bool rental_from_list = false;  ///< found in the list of prices
  std::string rental_source;      ///< provider, date and source of a listed price; "scenario" when stated
  RentalChoice rental;
  std::optional<OwnedCost> owned;
  PowerSpec power;
  double staff = 0;  ///< share of all other items
  std::optional<ApiPrice> api;

  /// Whether the list of prices was consulted.
  [[nodiscard]] bool uses_list() const { return rental_from_list || (owned && owned->capex_from_list); }
};

/// Reads the `cost` object and finds the prices of `gpu` and `node`. Throws InputError: both or neither way of paying where one is needed,
/// no price known (naming the GPUs that have one), a unit that is missing.
CostSpec parse_cost(const JsonReader& reader, const GpuSpec& gpu, const NodeSpec& node, const DataRoot& data);

/// `spec` with the prices of another GPU and node: listed prices are looked up again, prices stated per GPU are chosen, a single stated
/// price stays. Throws InputError(where) when none is known.
CostSpec cost_on(CostSpec spec, const GpuSpec& gpu, const NodeSpec& node, const DataRoot& data, std::string_view where);

}  // namespace moeplan
