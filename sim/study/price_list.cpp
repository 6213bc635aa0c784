#include "study/price_list.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "base/error.hpp"
#include "input/catalogue.hpp"
#include "input/csv.hpp"
#include "study/data_root.hpp"

namespace moeplan {

namespace {

constexpr std::string_view kPerGpuHour = "USD/h per GPU";

std::string joined(const std::set<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

bool starts_with_any_case(std::string_view text, std::string_view start) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  };
  return text.size() >= start.size() && std::equal(start.begin(), start.end(), text.begin(), same);
}

bool is_kind(const ListPrice& price, std::string_view kind) { return price.kind == kind || price.kind == "rental_" + std::string(kind); }

/// Rows of `candidates` of one kind, cheapest first.
std::vector<ListPrice> of_kind(const std::vector<ListPrice>& candidates, std::string_view kind) {
  std::vector<ListPrice> found;
  std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(found), [&](const ListPrice& p) { return is_kind(p, kind); });
  std::sort(found.begin(), found.end(),
            [](const ListPrice& a, const ListPrice& b) { return a.value != b.value ? a.value < b.value : a.text() < b.text(); });
  return found;
}

std::vector<ListPrice> rentals_of(const std::vector<ListPrice>& prices, std::string_view gpu, std::string_view where) {
  std::vector<ListPrice> found;
  std::set<std::string> priced;
  for (const ListPrice& p : prices) {
    if (p.unit != kPerGpuHour) continue;
    priced.insert(p.item);
    if (p.item == gpu) found.push_back(p);
  }
  if (found.empty()) {
    throw InputError(where,
                     fmt::format("no rental price of '{}' is known; state one, e.g. \"2.50 USD/h\"; listed: {}", gpu, joined(priced)));
  }
  return found;
}

}  // namespace

std::string ListPrice::text() const { return fmt::format("{} ({}), {}, {}", provider, kind, date, source); }

std::vector<ListPrice> load_prices(const DataRoot& data) {
  CsvReader csv(data.prices());
  const std::size_t item = csv.column("item"), kind = csv.column("kind"), unit = csv.column("unit"), value = csv.column("value"),
                    provider = csv.column("provider"), date = csv.column("date"), source = csv.column("source");
  std::vector<ListPrice> prices;
  while (csv.next()) {
    prices.push_back({std::string(csv.text(item)), std::string(csv.text(kind)), std::string(csv.text(unit)), csv.number(value),
                      std::string(csv.text(provider)), std::string(csv.text(date)), std::string(csv.text(source))});
  }
  return prices;
}

ListPrice find_rental(const std::vector<ListPrice>& prices, std::string_view gpu, std::string_view kind, std::string_view provider,
                      std::string_view where) {
  std::vector<ListPrice> found = rentals_of(prices, gpu, where);
  if (!provider.empty()) {
    std::set<std::string> known;
    for (const ListPrice& p : found) known.insert(p.provider);
    std::erase_if(found, [&](const ListPrice& p) { return !starts_with_any_case(p.provider, provider); });
    if (found.empty())
      throw InputError(where, fmt::format("no price of '{}' by provider '{}' is known; listed: {}", gpu, provider, joined(known)));
  }
  const std::vector<std::string_view> order =
      kind.empty() ? std::vector<std::string_view>{"rental_on_demand", "rental_3_years", "owner_cost_neocloud", "owner_cost_hyperscaler"}
                   : std::vector<std::string_view>{kind};
  for (const std::string_view wanted : order) {
    const std::vector<ListPrice> rows = of_kind(found, wanted);
    if (!rows.empty()) return rows[(rows.size() - 1) / 2];
  }
  std::set<std::string> kinds;
  for (const ListPrice& p : found) kinds.insert(p.kind);
  throw InputError(where, fmt::format("no price of '{}' of the kind '{}' is known{}; listed: {}", gpu, kind,
                                      provider.empty() ? "" : fmt::format(" by '{}'", provider), joined(kinds)));
}

ListPrice find_purchase(const std::vector<ListPrice>& prices, std::string_view gpu, std::string_view where) {
  std::set<std::string> priced;
  for (const ListPrice& p : prices) {
    if (p.kind != "purchase_gpu" || p.unit != "USD") continue;
    if (p.item == gpu) return p;
    priced.insert(p.item);
  }
  throw InputError(
      where, fmt::format("no purchase price of '{}' is known; state one, e.g. \"250000 USD\" per node; listed: {}", gpu, joined(priced)));
}

}  // namespace moeplan
