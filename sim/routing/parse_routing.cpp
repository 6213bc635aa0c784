#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "input/catalogue.hpp"
#include "input/csv.hpp"
#include "input/json_reader.hpp"
#include "routing/routing_config.hpp"

namespace moeplan {
namespace {

double number_within(const JsonReader& routing, std::string_view key, double low, double high) {
  const double value = routing.number(key);
  if (!(value >= low && value <= high)) {
    const auto shown = [](double x) {
      std::string text = std::to_string(x);
      text.erase(text.find_last_not_of('0') + 1);
      if (text.back() == '.') text.pop_back();
      return text;
    };
    routing.at(key).fail(shown(value) + " is not between " + shown(low) + " and " + shown(high));
  }
  return value;
}

double number_within(const JsonReader& routing, std::string_view key, double low, double high, double fallback) {
  return routing.has(key) ? number_within(routing, key, low, high) : fallback;
}

PopularityKind popularity_kind(const JsonReader& routing) {
  constexpr std::array<std::pair<std::string_view, PopularityKind>, 6> kKinds{{{"uniform", PopularityKind::kUniform},
                                                                               {"lognormal", PopularityKind::kLognormal},
                                                                               {"zipf", PopularityKind::kZipf},
                                                                               {"dirichlet", PopularityKind::kDirichlet},
                                                                               {"power_law", PopularityKind::kPowerLaw},
                                                                               {"recorded", PopularityKind::kRecorded}}};
  const std::string name = routing.string("popularity");
  std::vector<std::string> names;
  for (const auto& [known, kind] : kKinds) {
    if (name == known) return kind;
    names.emplace_back(known);
  }
  routing.at("popularity")
      .fail("unknown popularity '" + name + "'" + did_you_mean(name, names) +
            "; accepted: uniform, lognormal, zipf, dirichlet, power_law, recorded");
}

RoutingLocality parse_locality(const JsonReader& routing, RoutingLocality fallback) {
  if (!routing.has("locality")) return fallback;
  const JsonReader reader = routing.at("locality");
  RoutingLocality locality = measured_locality();
  locality.copy = number_within(reader, "copy", 0.0, 0.99);
  locality.decay = number_within(reader, "decay", 0.0, 10.0, locality.decay);
  locality.reach = static_cast<int>(number_within(reader, "reach", 1.0, 512.0, locality.reach));
  return locality;
}

std::filesystem::path file_at(const JsonReader& routing, std::string_view key, const std::filesystem::path& base) {
  return base / routing.string(key);
}

}  // namespace

RoutingConfig parse_routing(const JsonReader& routing, const std::filesystem::path& base) {
  RoutingConfig config;
  config.popularity = popularity_kind(routing);
  switch (config.popularity) {
    case PopularityKind::kUniform: break;
    case PopularityKind::kLognormal: config.sigma = number_within(routing, "sigma", 0.0, 5.0); break;
    case PopularityKind::kZipf: config.exponent = number_within(routing, routing.has("s") ? "s" : "exponent", 0.0, 5.0); break;
    case PopularityKind::kDirichlet: config.alpha = number_within(routing, "alpha", 0.01, 1e6); break;
    case PopularityKind::kPowerLaw:
      config.exponent = number_within(routing, "exponent", 0.0, 5.0);
      config.range = number_within(routing, "range", 1.0, 1e9, config.range);
      break;
    case PopularityKind::kRecorded: config.recorded = load_recorded(file_at(routing, "file", base)); break;
  }
  config.noise = number_within(routing, "noise", 0.0, 1.0, 0.0);
  config.collapsed = number_within(routing, "collapsed", 0.0, 0.95, 0.0);
  // Uniform routing is the idealisation that formulas assume: independent tokens unless asked otherwise.
  config.locality = parse_locality(routing, config.popularity == PopularityKind::kUniform ? RoutingLocality{} : measured_locality());
  return config;
}

PlacementConfig parse_placement(const JsonReader& routing, const std::filesystem::path& base, int ranks) {
  PlacementConfig config;
  config.ranks = ranks;
  const std::string name = routing.string("placement", "contiguous");
  if (name == "balanced")
    config.kind = PlacementKind::kBalanced;
  else if (name != "contiguous")
    routing.at("placement").fail("unknown placement '" + name + "'; accepted: contiguous, balanced");
  config.redundant_experts = static_cast<int>(number_within(routing, "redundant_experts", 0.0, 4096.0, 0.0));
  if (config.redundant_experts > 0 && config.kind != PlacementKind::kBalanced) {
    routing.at("redundant_experts").fail("redundant experts need \"placement\": \"balanced\"");
  }
  if (routing.has("tuned_on")) {
    if (config.kind != PlacementKind::kBalanced) routing.at("tuned_on").fail("needs \"placement\": \"balanced\"");
    config.tuned_on = load_recorded(file_at(routing, "tuned_on", base));
  }
  return config;
}

RecordedCounts load_recorded(const std::filesystem::path& file) {
  CsvReader csv(file);
  const std::size_t layer_at = csv.column("layer");
  const std::size_t expert_at = csv.column("expert");
  const std::size_t count_at = csv.column("count");
  std::map<std::int64_t, std::map<std::int64_t, double>> rows;
  while (csv.next()) {
    const std::int64_t layer = csv.integer(layer_at);
    const std::int64_t expert = csv.integer(expert_at);
    const double count = csv.number(count_at);
    if (layer < 0 || expert < 0) csv.fail("layer and expert must not be negative");
    if (count < 0) csv.fail("count must not be negative");
    if (!rows[layer].emplace(expert, count).second) csv.fail("layer and expert were given before");
  }
  RecordedCounts recorded;
  recorded.source = file.string();
  for (const auto& [layer, experts] : rows) {
    std::vector<double> counts;
    double sum = 0;
    for (const auto& [expert, count] : experts) {
      counts.push_back(count);
      sum += count;
    }
    const std::string where = file.string() + ": layer " + std::to_string(layer);
    const auto size = static_cast<std::int64_t>(counts.size());
    if (experts.rbegin()->first != size - 1)
      throw InputError(where, "lacks an expert: expected 0 to " + std::to_string(experts.rbegin()->first));
    if (!(sum > 0)) throw InputError(where, "has no tokens");
    if (counts.size() != rows.begin()->second.size()) throw InputError(where, "has another number of experts than the first layer");
    recorded.layers.push_back(std::move(counts));
  }
  if (recorded.layers.empty()) throw InputError(file.string(), "has no rows; expected layer,expert,count");
  return recorded;
}

}  // namespace moeplan
