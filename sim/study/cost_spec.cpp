#include "study/cost_spec.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "input/json_reader.hpp"
#include "input/unit_text.hpp"
#include "study/data_root.hpp"
#include "study/price_list.hpp"

namespace moeplan {

namespace {

/// A server around its GPUs (CPUs, memory, NICs, chassis) over the GPUs' own price. Assumption: an eight-GPU server sells for about that
/// much more than eight GPUs at street prices.
constexpr double kServerOverGpus = 1.25;

std::map<std::string, double> read_prices(const JsonReader& reader, double (*parse)(std::string_view, std::string_view)) {
  std::map<std::string, double> prices;
  for (const auto& [id, price] : reader.members()) {
    if (!price.value().is_string()) price.fail("a price is text with a unit, such as \"2.50 USD/h\"");
    prices[id] = parse(price.value().get<std::string>(), price.where());
  }
  return prices;
}

RentalChoice parse_rental(const JsonReader& reader) {
  RentalChoice choice;
  if (reader.value().is_string()) {
    choice.from_list = reader.value().get<std::string>() == "auto";
    return choice;
  }
  choice.kind = reader.string("kind", "");
  choice.provider = reader.string("provider", "");
  if (reader.has("prices")) choice.stated = read_prices(reader.at("prices"), parse_money_per_hour);
  choice.from_list = !choice.kind.empty() || !choice.provider.empty() || choice.stated.empty();
  return choice;
}

OwnedCost parse_owned(const JsonReader& reader) {
  OwnedCost owned;
  const JsonReader capex = reader.at("capex");
  if (capex.value().is_object()) {
    owned.capex_stated = read_prices(capex, parse_money);
  } else if (reader.string("capex") == "auto") {
    owned.capex_from_list = true;
  } else {
    owned.capex_usd = parse_money(reader.string("capex"), capex.where());
    owned.capex_source = "scenario";
  }
  owned.years = reader.number("years");
  owned.interest = reader.number("interest", 0.0);
  owned.resale = reader.number("resale", 0.0);
  if (reader.has("network")) owned.network_usd = parse_money(reader.string("network"), reader.at("network").where());
  if (reader.has("rack")) owned.rack_usd_per_hour = parse_money_per_hour(reader.string("rack"), reader.at("rack").where());
  return owned;
}

/// `power`, and the power price and PUE that `owned` may state in its place.
PowerSpec parse_power(const JsonReader& cost) {
  PowerSpec power;
  const auto price_and_pue = [&power](const JsonReader& reader, const char* price) {
    if (reader.has(price)) power.usd_per_kwh = parse_energy_price(reader.string(price), reader.at(price).where());
    power.pue = reader.number("pue", power.pue);
  };
  if (cost.has("owned")) price_and_pue(cost.at("owned"), "power_price");
  if (!cost.has("power")) return power;
  const JsonReader reader = cost.at("power");
  if (cost.has("owned")) {
    for (const auto& [here, there] : {std::pair{"price", "power_price"}, std::pair{"pue", "pue"}}) {
      if (reader.has(here) && cost.at("owned").has(there))
        reader.at(here).fail(fmt::format("also stated as owned.{}; state it once", there));
    }
  }
  price_and_pue(reader, "price");
  const auto watts = [&reader](const char* key) { return reader.has(key) ? std::optional(reader.watts(key)) : std::nullopt; };
  power.gpu_idle_w = watts("gpu_idle");
  power.gpu_load_w = watts("gpu_load");
  power.host_idle_w = watts("host_idle");
  power.host_load_w = watts("host_load");
  if (power.gpu_idle_w && power.gpu_load_w && *power.gpu_idle_w > *power.gpu_load_w) reader.fail("gpu_idle is more than gpu_load");
  if (power.host_idle_w && power.host_load_w && *power.host_idle_w > *power.host_load_w) reader.fail("host_idle is more than host_load");
  return power;
}

ApiPrice parse_api(const JsonReader& reader) {
  ApiPrice api;
  api.input_usd_per_million = parse_token_price(reader.string("input"), reader.at("input").where());
  api.output_usd_per_million = parse_token_price(reader.string("output"), reader.at("output").where());
  if (!(api.input_usd_per_million + api.output_usd_per_million > 0))
    reader.fail("a hosted model that costs nothing leaves nothing to compare");
  api.source = reader.string("source", "scenario");
  return api;
}

void choose_rental(CostSpec& cost, const GpuSpec& gpu, const DataRoot& data, std::string_view where) {
  const RentalChoice& choice = cost.rental;
  if (const auto stated = choice.stated.find(gpu.id); stated != choice.stated.end()) {
    cost.rental_usd_per_gpu_hour = stated->second;
    cost.rental_source = "scenario";
    cost.rental_from_list = false;
  } else if (choice.from_list) {
    const ListPrice price = find_rental(load_prices(data), gpu.id, choice.kind, choice.provider, where);
    cost.rental_usd_per_gpu_hour = price.value;
    cost.rental_source = price.text();
    cost.rental_from_list = true;
  } else if (!choice.stated.empty()) {
    std::string ids;
    for (const auto& [id, price] : choice.stated) ids += (ids.empty() ? "" : ", ") + id;
    throw InputError(where, fmt::format("no rental price of '{}' is stated; stated: {}", gpu.id, ids));
  }
}

void choose_capex(OwnedCost& owned, const GpuSpec& gpu, const NodeSpec& node, const DataRoot& data, std::string_view where) {
  if (owned.capex_from_list) {
    const ListPrice price = find_purchase(load_prices(data), gpu.id, where);
    owned.capex_usd = price.value * node.gpus * kServerOverGpus;
    owned.capex_source = fmt::format("{} x {:.0f} USD, {}; the server around them: {:.0f} % more (assumption)", node.gpus, price.value,
                                     price.text(), (kServerOverGpus - 1) * 100);
    return;
  }
  if (owned.capex_stated.empty()) return;
  for (const std::string& id : {node.id, gpu.id}) {
    const auto stated = owned.capex_stated.find(id);
    if (stated == owned.capex_stated.end()) continue;
    owned.capex_usd = stated->second;
    owned.capex_source = "scenario";
    return;
  }
  throw InputError(where, fmt::format("capex states neither the node '{}' nor the GPU '{}'", node.id, gpu.id));
}

}  // namespace

CostSpec parse_cost(const JsonReader& reader, const GpuSpec& gpu, const NodeSpec& node, const DataRoot& data) {
  CostSpec cost;
  if (reader.has("rental") && reader.has("owned")) reader.fail("state \"rental\" or \"owned\", not both");
  if (reader.has("rental")) {
    cost.rental = parse_rental(reader.at("rental"));
    if (reader.at("rental").value().is_string() && !cost.rental.from_list) {
      cost.rental_usd_per_gpu_hour = parse_money_per_hour(reader.string("rental"), reader.at("rental").where());
      cost.rental_source = "scenario";
    }
    choose_rental(cost, gpu, data, reader.at("rental").where());
  }
  if (reader.has("owned")) {
    cost.owned = parse_owned(reader.at("owned"));
    choose_capex(*cost.owned, gpu, node, data, reader.at("owned").at("capex").where());
  }
  cost.power = parse_power(reader);
  cost.staff = reader.number("staff", 0.0);
  if (reader.has("api")) cost.api = parse_api(reader.at("api"));
  return cost;
}

CostSpec cost_on(CostSpec spec, const GpuSpec& gpu, const NodeSpec& node, const DataRoot& data, std::string_view where) {
  choose_rental(spec, gpu, data, where);
  if (spec.owned) choose_capex(*spec.owned, gpu, node, data, where);
  return spec;
}

}  // namespace moeplan
