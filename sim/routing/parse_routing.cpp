#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "input/catalogue.hpp"
#include "input/csv.hpp"
#include "input/json_reader.hpp"
#include "routing/routing_config.hpp"
#include "routing/routing_trace.hpp"

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
  locality.kept = std::max(locality.copy, locality.kept);
  if (reader.has("kept")) locality.kept = number_within(reader, "kept", std::max(locality.copy, 0.01), 1.0);
  return locality;
}

constexpr int kMostWindow = 100;

/// A period of simulated time.
SimTime period_at(const JsonReader& reader, std::string_view key) {
  const Seconds period = reader.duration(key);
  if (!(period.value() >= 1e-3 && period.value() <= 3e9)) reader.at(key).fail("accepted: 1 ms to 3e9 s");
  return to_sim_time(period);
}

/// A popularity and the locality that goes with it where the scenario states none.
struct ReadPopularity {
  Popularity popularity;
  RoutingLocality locality;
};

void read_router(const JsonReader& routing, Popularity& popularity) {
  popularity.noise = number_within(routing, "noise", 0.0, 1.0, 0.0);
  popularity.collapsed = number_within(routing, "collapsed", 0.0, 0.95, 0.0);
}

/// Refuses the parameters of other popularities, which would be silently ignored, and says which ones are missing.
void check_parameters(const JsonReader& routing, std::optional<PopularityKind> kind) {
  using Kind = PopularityKind;
  struct Parameter {
    const char* key;
    std::vector<Kind> of;
    const char* names;
    bool needed;
  };
  static const std::array<Parameter, 6> kParameters{{{"sigma", {Kind::kLognormal}, "lognormal", true},
                                                     {"exponent", {Kind::kZipf, Kind::kPowerLaw}, "zipf or power_law", true},
                                                     {"s", {Kind::kZipf}, "zipf", false},
                                                     {"alpha", {Kind::kDirichlet}, "dirichlet", true},
                                                     {"range", {Kind::kPowerLaw}, "power_law", false},
                                                     {"file", {Kind::kRecorded}, "recorded", true}}};
  const auto takes = [&](const Parameter& p) { return kind && std::find(p.of.begin(), p.of.end(), *kind) != p.of.end(); };
  const auto quoted = [](const Parameter& p) { return "\"" + std::string(p.key) + "\""; };
  for (const Parameter& p : kParameters) {
    if (!routing.has(p.key) || takes(p)) continue;
    routing.at(p.key).fail(quoted(p) + " belongs to the popularity " + p.names +
                           (kind ? ", not to " + routing.string("popularity") : std::string(", which is not stated here")));
  }
  for (const Parameter& p : kParameters) {
    if (!takes(p) || !p.needed || routing.has(p.key) || (kind == Kind::kZipf && routing.has("s"))) continue;
    routing.fail("missing key '" + std::string(p.key) + "'" + (kind == Kind::kZipf ? " (or 's')" : "") + " of the popularity " + routing.string("popularity"));
  }
  if (kind == Kind::kUniform && routing.number("collapsed", 0.0) == 0 && routing.number("noise", 0.0) > 0) {
    routing.at("noise").fail("a uniform popularity has nothing that noise could change");
  }
}

ReadPopularity read_popularity(const JsonReader& routing, const FileFolders& folders, int experts) {
  ReadPopularity read;
  Popularity& config = read.popularity;
  config.popularity = popularity_kind(routing);
  check_parameters(routing, config.popularity);
  // Uniform routing is the idealisation that formulas assume: independent tokens unless asked otherwise.
  if (config.popularity != PopularityKind::kUniform) read.locality = measured_locality();
  switch (config.popularity) {
    case PopularityKind::kUniform: break;
    case PopularityKind::kLognormal: config.sigma = number_within(routing, "sigma", 0.0, 5.0); break;
    case PopularityKind::kZipf:
      if (routing.has("s") && routing.has("exponent")) routing.at("s").fail("the same as \"exponent\": give one of the two");
      config.exponent = number_within(routing, routing.has("s") ? "s" : "exponent", 0.0, 5.0);
      break;
    case PopularityKind::kDirichlet: config.alpha = number_within(routing, "alpha", 0.01, 1e6); break;
    case PopularityKind::kPowerLaw:
      config.exponent = number_within(routing, "exponent", 0.0, 5.0);
      config.range = number_within(routing, "range", 1.0, 1e9, config.range);
      break;
    case PopularityKind::kRecorded: {
      const std::filesystem::path file = folders.find(routing, "file");
      routing.at("file").loaded([&] {
        if (is_routing_trace(file)) {
          RoutingTrace trace = load_routing_trace(file, experts);
          config.recorded = std::move(trace.counts);
          read.locality = trace.locality;
        } else {
          config.recorded = load_recorded(file);
        }
      });
      break;
    }
  }
  read_router(routing, config);
  return read;
}

/// How a router was trained, as loads that such models showed when they served (not as their training curves).
RoutingConfig preset_routing(const JsonReader& routing, const MoeSpec& moe) {
  const std::string name = routing.string("preset");
  RoutingConfig config;
  config.popularity = PopularityKind::kLognormal;
  config.locality = measured_locality();
  if (name == "auxiliary_loss") {
    const bool few = moe.experts <= 16;
    config.sigma = few ? 0.13 : 0.51;
    config.source = few ? "preset auxiliary_loss: counts of Mixtral-8x7B (allenai/OLMoE)"
                        : "preset auxiliary_loss: choices of DeepSeek-V2-Lite, trained with three balancing losses (deepseek-ai/ESFT)";
  } else if (name == "loss_free") {
    config.sigma = 1.07;
    config.source = "preset loss_free: DeepSeek-R1, balanced by biases, 2.56 at EP32 (TensorRT-LLM, examples/wide_ep/ep_load_balancer)";
  } else if (name == "no_balancing_loss") {
    // CV^2 = exp(sigma^2) - 1
    config.sigma = 1.52;
    config.source = "preset no_balancing_loss: coefficient of variation 3.01 of the load without balancing losses (Shazeer et al. 2017, table 6)";
  } else {
    routing.at("preset").fail("unknown preset '" + name + "'" + did_you_mean(name, {"auxiliary_loss", "no_balancing_loss", "loss_free"}) +
                              "; accepted: auxiliary_loss, no_balancing_loss, loss_free");
  }
  return config;
}

}  // namespace

Popularity parse_popularity(const JsonReader& routing, const FileFolders& folders) {
  Popularity popularity = read_popularity(routing, folders, 0).popularity;
  popularity.recorded.tokens = nullptr;  // classes are mixed by their popularity
  return popularity;
}

RoutingConfig parse_routing(const JsonReader& routing, const FileFolders& folders, const std::string& family, const MoeSpec& moe) {
  RoutingConfig config;
  if (routing.has("preset")) {
    if (routing.has("popularity")) routing.at("preset").fail("stands for a popularity: give one of the two");
    check_parameters(routing, std::nullopt);
    config = preset_routing(routing, moe);
  } else if (routing.has("popularity") || moe.experts == 0) {
    const ReadPopularity read = read_popularity(routing, folders, moe.experts);
    static_cast<Popularity&>(config) = read.popularity;
    config.locality = read.locality;
  } else {
    check_parameters(routing, std::nullopt);
    config = default_routing(family, moe);
  }
  read_router(routing, config);
  config.locality = parse_locality(routing, config.locality);
  if (routing.has("locality")) config.recorded.tokens = nullptr;  // asked for in place of the one recorded
  if (routing.has("drift")) {
    const JsonReader drift = routing.at("drift");
    config.drift.period = period_at(drift, "period");
    config.drift.correlation = number_within(drift, "correlation", 0.0, 1.0, 0.0);
  }
  config.capacity_factor = number_within(routing, "capacity_factor", 0.01, 1e6, 0.0);
  if (routing.has("overflow")) {
    if (config.capacity_factor == 0) routing.at("overflow").fail("needs a \"capacity_factor\"");
    const std::string name = routing.string("overflow");
    if (name == "reroute")
      config.overflow = Overflow::kReroute;
    else if (name != "drop")
      routing.at("overflow").fail("unknown overflow '" + name + "'; accepted: drop, reroute");
  }
  return config;
}

PlacementConfig parse_placement(const JsonReader& routing, const FileFolders& folders, int ranks) {
  PlacementConfig config;
  config.ranks = ranks;
  const std::string name = routing.string("placement", "contiguous");
  if (name == "balanced")
    config.kind = PlacementKind::kBalanced;
  else if (name == "hierarchical")
    config.kind = PlacementKind::kHierarchical;
  else if (name != "contiguous")
    routing.at("placement").fail("unknown placement '" + name + "'; accepted: contiguous, balanced, hierarchical");
  const auto needs_balance = [&](const char* key) {
    if (config.kind == PlacementKind::kContiguous) routing.at(key).fail("needs \"placement\": \"balanced\" or \"hierarchical\"");
  };
  config.redundant_experts = static_cast<int>(number_within(routing, "redundant_experts", 0.0, 4096.0, 0.0));
  if (config.redundant_experts > 0) needs_balance("redundant_experts");
  if (routing.has("tuned_on")) {
    needs_balance("tuned_on");
    config.tuned_on = routing.at("tuned_on").loaded([&] { return load_recorded(folders.find(routing, "tuned_on")); });
  }
  if (routing.has("rebalance")) {
    needs_balance("rebalance");
    const JsonReader rebalance = routing.at("rebalance");
    config.rebalance.period = period_at(rebalance, "period");
    config.rebalance.window = rebalance.has("window") ? period_at(rebalance, "window") : config.rebalance.period;
    const bool drifts = routing.has("drift");
    if (drifts && config.rebalance.window > period_at(routing.at("drift"), "period") * kMostWindow) {
      rebalance.fail("the window is longer than " + std::to_string(kMostWindow) + " periods of the drift");
    }
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
