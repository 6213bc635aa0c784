#include "cli/price_lines.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "input/catalogue.hpp"
#include "study/price_list.hpp"

namespace moeplan::cli {

std::string price_lines(const DataRoot& data, const std::string& gpu) {
  constexpr const char* kLine = "  {:<22} {:<23} {:>10} {:<15} {:<32} {:<28} {}\n";
  std::string text = fmt::format(fmt::runtime(kLine), "item", "kind", "value", "unit", "provider", "date", "source");
  std::vector<std::string> items;
  bool found = false;
  for (const ListPrice& p : load_prices(data)) {
    if (items.empty() || items.back() != p.item) items.push_back(p.item);
    if (!gpu.empty() && p.item != gpu) continue;
    found = true;
    text += fmt::format(fmt::runtime(kLine), p.item, p.kind, fmt::format("{}", p.value), p.unit, p.provider, p.date, p.source);
  }
  if (found) return text;
  std::string known;
  for (const std::string& item : items) known += (known.empty() ? "" : ", ") + item;
  throw InputError("catalog prices", fmt::format("no price of '{}' is known{}; listed: {}", gpu, did_you_mean(gpu, items), known));
}

}  // namespace moeplan::cli
