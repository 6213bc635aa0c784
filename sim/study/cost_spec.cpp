#include "study/cost_spec.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.hpp"
#include "input/csv.hpp"
#include "input/json_reader.hpp"
#include "input/unit_text.hpp"
#include "study/data_root.hpp"

namespace moeplan {

namespace {

struct Price {
  double usd_per_hour = 0;
  std::string source;
};

/// Rental prices of `gpu` of one `kind`, cheapest first.
std::vector<Price> prices_of(const std::string& gpu, std::string_view kind, const DataRoot& data) {
  CsvReader csv(data.prices());
  const std::size_t item = csv.column("item"), kind_column = csv.column("kind"), unit = csv.column("unit"), value = csv.column("value"),
                    provider = csv.column("provider"), date = csv.column("date"), source = csv.column("source");
  std::vector<Price> prices;
  while (csv.next()) {
    if (csv.text(item) != gpu || csv.text(kind_column) != kind || csv.text(unit) != "USD/h per GPU") continue;
    prices.push_back({csv.number(value), fmt::format("{} ({}), {}, {}", csv.text(provider), kind, csv.text(date), csv.text(source))});
  }
  std::sort(prices.begin(), prices.end(), [](const Price& a, const Price& b) {
    return a.usd_per_hour != b.usd_per_hour ? a.usd_per_hour < b.usd_per_hour : a.source < b.source;
  });
  return prices;
}

/// The median on-demand list price; without one, the owner's total cost at a neocloud.
Price automatic_price(const JsonReader& reader, const std::string& gpu, const DataRoot& data) {
  for (const std::string_view kind : {"rental_on_demand", "rental_3_years", "owner_cost_neocloud", "owner_cost_hyperscaler"}) {
    const std::vector<Price> prices = prices_of(gpu, kind, data);
    if (!prices.empty()) return prices[(prices.size() - 1) / 2];
  }
  reader.at("rental").fail(fmt::format("no rental price of '{}' is known; state one, e.g. \"2.50 USD/h\"", gpu));
}

OwnedCost parse_owned(const JsonReader& reader) {
  OwnedCost owned;
  owned.capex_usd = parse_money(reader.string("capex"), reader.at("capex").where());
  owned.years = reader.number("years");
  owned.interest = reader.number("interest", 0.0);
  owned.resale = reader.number("resale", 0.0);
  if (reader.has("power_price")) owned.power_usd_per_kwh = parse_energy_price(reader.string("power_price"), reader.at("power_price").where());
  owned.pue = reader.number("pue", 1.3);
  return owned;
}

}  // namespace

CostSpec parse_cost(const JsonReader& reader, const std::string& gpu, const DataRoot& data) {
  CostSpec cost;
  if (reader.has("rental") && reader.has("owned")) reader.fail("state \"rental\" or \"owned\", not both");
  if (reader.has("rental")) {
    const std::string text = reader.string("rental");
    if (text == "auto") {
      const Price price = automatic_price(reader, gpu, data);
      cost.rental_usd_per_gpu_hour = price.usd_per_hour;
      cost.rental_source = price.source;
      cost.rental_from_list = true;
    } else {
      cost.rental_usd_per_gpu_hour = parse_money_per_hour(text, reader.at("rental").where());
      cost.rental_source = "scenario";
    }
  }
  if (reader.has("owned")) cost.owned = parse_owned(reader.at("owned"));
  return cost;
}

std::optional<double> usd_per_gpu_hour(const CostSpec& cost, int node_gpus, double node_watts) {
  if (cost.rental_usd_per_gpu_hour) return cost.rental_usd_per_gpu_hour;
  if (!cost.owned) return std::nullopt;
  const OwnedCost& owned = *cost.owned;
  constexpr double kHoursPerYear = 8766.0;
  // Annuity: capex less the discounted resale value, repaid in equal parts over the years at the interest rate.
  const double discount = std::pow(1.0 + owned.interest, -owned.years);
  const double principal = owned.capex_usd * (1.0 - owned.resale * discount);
  const double annuity = owned.interest > 0 ? principal * owned.interest / (1.0 - discount) : principal / owned.years;
  const double power_per_hour = node_watts / 1000.0 * owned.pue * owned.power_usd_per_kwh;
  return (annuity / kHoursPerYear + power_per_hour) / node_gpus;
}

}  // namespace moeplan
