// The list of published prices (hardware_profiles/prices.csv): what a GPU-hour is rented for, by provider and date, and what a GPU is
// bought for. Prices differ by provider, term and month; the list only repeats what its sources say.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moeplan {

class DataRoot;

/// One row of the list.
struct ListPrice {
  std::string item;  ///< GPU id
  std::string kind;  ///< "rental_on_demand", "owner_cost_neocloud", "purchase_gpu", ...
  std::string unit;  ///< "USD/h per GPU", "USD", ...
  double value = 0;
  std::string provider, date, source;

  /// "Lambda (rental_on_demand), 2026-03-16, where it was found".
  [[nodiscard]] std::string text() const;
};

/// Every row, in the file's order. Throws InputError for a list that cannot be read.
std::vector<ListPrice> load_prices(const DataRoot& data);

/// The price per GPU-hour of `gpu`. `kind` empty: the first of on-demand, three-year rental, owner's cost at a neocloud, owner's cost at a
/// hyperscaler that is listed; else a kind of the list, with or without "rental_". `provider` empty: the median (the lower of two) of those
/// listed; else the provider whose name starts with it, whatever the case. Throws InputError(where) naming what is listed.
ListPrice find_rental(const std::vector<ListPrice>& prices, std::string_view gpu, std::string_view kind, std::string_view provider,
                      std::string_view where);

/// The purchase price of one `gpu`. Throws InputError(where) naming the GPUs that have one.
ListPrice find_purchase(const std::vector<ListPrice>& prices, std::string_view gpu, std::string_view where);

}  // namespace moeplan
