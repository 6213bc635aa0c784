#include "study/plan_search.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "input/catalogue.hpp"
#include "input/json_reader.hpp"
#include "input/unit_text.hpp"

namespace moeplan {

namespace {

/// The elements of `key`, or nothing when it is absent or "auto".
std::optional<std::vector<JsonReader>> choices(const JsonReader& search, const char* key) {
  if (!search.has(key)) return std::nullopt;
  const JsonReader value = search.at(key);
  if (value.value().is_array()) return value.elements();
  if (value.value() != "auto") value.fail("accepted: \"auto\" or an array");
  return std::nullopt;
}

std::optional<int> optional_integer(const JsonReader& reader, const char* key) {
  if (!reader.has(key)) return std::nullopt;
  return static_cast<int>(reader.integer(key));
}

std::optional<Precision> optional_precision(const JsonReader& reader, const char* key) {
  if (!reader.has(key)) return std::nullopt;
  return reader.precision(key);
}

PrecisionChoice precision_choice(const JsonReader& reader) {
  PrecisionChoice choice;
  if (reader.value().is_string()) {
    choice.checkpoint = reader.value().get<std::string>();
    std::vector<std::string> names = {"native"};
    for (const Precision p : kAllPrecisions) names.emplace_back(to_string(p));
    if (std::find(names.begin(), names.end(), choice.checkpoint) == names.end()) {
      reader.fail("unknown precision '" + choice.checkpoint + "'" + did_you_mean(choice.checkpoint, names));
    }
    return choice;
  }
  choice.weights = optional_precision(reader, "weights");
  choice.experts = optional_precision(reader, "experts");
  choice.kv_cache = optional_precision(reader, "kv_cache");
  return choice;
}

PlanLimits limits_of(const JsonReader& reader) {
  PlanLimits limits;
  if (reader.has("budget")) limits.usd_per_hour = parse_money_per_hour(reader.string("budget"), reader.at("budget").where());
  if (reader.has("power")) limits.watts = reader.watts("power");
  if (reader.has("rack_power")) limits.rack_watts = reader.watts("rack_power");
  limits.racks = optional_integer(reader, "racks");
  limits.gpus = optional_integer(reader, "gpus");
  return limits;
}

LoadGrowth load_of(const JsonReader& reader) {
  LoadGrowth load;
  if (reader.has("hourly")) {
    for (const JsonReader& factor : reader.at("hourly").elements()) load.hourly.push_back(factor.value().get<double>());
    if (*std::max_element(load.hourly.begin(), load.hourly.end()) <= 0) reader.at("hourly").fail("all 24 factors are 0: there is no load");
  }
  load.growth_per_month = reader.number("growth_per_month", 0);
  load.months = static_cast<int>(reader.integer("months", 0));
  if (load.months > 0 && !reader.has("growth_per_month")) reader.at("months").fail("needs \"growth_per_month\"");
  if (load.growth_per_month != 0 && load.months == 0) reader.at("growth_per_month").fail("needs \"months\": for how long the load grows");
  load.peak_factor = reader.number("peak_factor", 1);
  return load;
}

ReliabilityConfig reliability_of(const JsonReader& reader) {
  ReliabilityConfig r;
  r.stated = true;
  r.spare_nodes = static_cast<int>(reader.integer("spare_nodes", 0));
  r.maintenance_nodes = static_cast<int>(reader.integer("maintenance_nodes", 0));
  r.maintenance_off_peak = reader.boolean("maintenance_off_peak", false);
  r.failures_per_node_year = reader.number("failures_per_node_year", r.failures_per_node_year);
  if (reader.has("restart")) r.restart_s = reader.duration("restart").value();
  if (reader.has("weight_load_bandwidth")) r.weight_load_bytes_per_s = reader.bandwidth("weight_load_bandwidth").value();
  if (!(r.weight_load_bytes_per_s > 0)) reader.at("weight_load_bandwidth").fail("weights must be loaded at some speed");
  return r;
}

}  // namespace

ParallelLayout parse_search_layout(const JsonReader& reader) {
  ParallelLayout layout;
  layout.tensor = static_cast<int>(reader.integer("tensor", 1));
  layout.pipeline = static_cast<int>(reader.integer("pipeline", 1));
  layout.expert = static_cast<int>(reader.integer("expert", 1));
  layout.attention_data = static_cast<int>(reader.integer("attention_data", 1));
  return layout;
}

SearchConfig parse_search(const JsonReader& reader) {
  SearchConfig search;
  search.models = reader.strings("models");
  search.gpus = reader.strings("gpus");
  search.nodes = reader.strings("nodes");
  search.engines = reader.strings("engines");
  if (reader.has("counts")) {
    for (const JsonReader& count : reader.at("counts").elements()) search.counts.push_back(static_cast<int>(count.value().get<std::int64_t>()));
    std::sort(search.counts.begin(), search.counts.end());
    search.counts.erase(std::unique(search.counts.begin(), search.counts.end()), search.counts.end());
  }
  if (const auto layouts = choices(reader, "parallel")) {
    search.layouts.emplace();
    for (const JsonReader& layout : *layouts) search.layouts->push_back(parse_search_layout(layout));
  }
  if (reader.has("precision")) {
    for (const JsonReader& choice : reader.at("precision").elements()) search.precisions.push_back(precision_choice(choice));
  }
  if (const auto schedulers = choices(reader, "schedulers")) {
    search.schedulers.emplace();
    for (const JsonReader& s : *schedulers) {
      search.schedulers->push_back({optional_integer(s, "max_batch_requests"), optional_integer(s, "max_batch_tokens")});
    }
  }
  if (reader.has("limits")) search.limits = limits_of(reader.at("limits"));
  if (reader.has("load")) search.load = load_of(reader.at("load"));
  if (reader.has("reliability")) search.reliability = reliability_of(reader.at("reliability"));
  search.pareto_up_to = reader.number("pareto_up_to", search.pareto_up_to);
  return search;
}

std::vector<std::string> unused_search_keys(const JsonReader& reader) {
  std::vector<std::string> out;
  const auto check = [&](const char* object, const char* key, const char* needed) {
    if (!reader.has(object) || !reader.at(object).has(key)) return;
    const JsonReader group = reader.at(object);
    const auto& value = group.at(key).value();
    const bool stated = group.has(needed) && group.at(needed).value() != 0;
    if (value != false && !stated) out.push_back(group.at(key).pointer() + " has no effect: no \"" + needed + "\" are stated");
  };
  check("reliability", "maintenance_off_peak", "maintenance_nodes");
  check("limits", "rack_power", "racks");
  return out;
}

DeploymentPrecision chosen_precision(const PrecisionChoice& choice, const ModelSpec& model, DeploymentPrecision start, bool& kv_stated) {
  kv_stated = choice.kv_cache.has_value();
  if (choice.checkpoint.empty()) {
    if (choice.weights) start.weights = start.experts = *choice.weights;
    if (choice.experts) start.experts = *choice.experts;
    if (choice.kv_cache) start.kv_cache = *choice.kv_cache;
    return start;
  }
  if (choice.checkpoint == "native") {
    start.weights = model.native.weights;
    start.experts = model.native.experts;
    return start;
  }
  const auto format = precision_from_string(choice.checkpoint);
  MOEPLAN_CHECK(format.has_value());
  start.weights = start.experts = *format == Precision::kFp8 ? model.native.fp8_checkpoint : *format;
  const bool experts_only = *format == Precision::kMxfp4 || *format == Precision::kInt4;
  if (experts_only && model.is_moe()) start.weights = Precision::kBf16;
  return start;
}

int nodes_per_rack(const NodeSpec& node, double node_watts, double rack_watts) {
  if (node.topology == ScaleUpTopology::kRackSwitch || node.topology == ScaleUpTopology::kTorus || !(node_watts > 0)) return 1;
  return std::max(1, static_cast<int>(rack_watts / node_watts));
}

}  // namespace moeplan
