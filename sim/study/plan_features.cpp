#include "study/plan_features.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "input/json_reader.hpp"
#include "study/plan_search.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

/// One value of one feature.
struct Value {
  std::string label;
  json deployment = json::object();
  std::optional<PoolsChoice> pools;
  bool off = false;
};

Value prefix_cache_value(const JsonReader& reader) {
  Value value;
  const json& stated = reader.value();
  value.off = stated.is_boolean() && !stated.get<bool>();
  value.label = value.off ? "off" : "on";
  value.deployment["prefix_cache"] = !value.off;
  value.deployment["kv_tiers"] = nullptr;
  if (!stated.is_object()) return value;
  if (reader.has("router")) {
    value.deployment["scheduler"]["router"] = stated["router"];
    value.label += ", " + stated["router"].get<std::string>() + " router";
  }
  if (reader.has("kv_tiers")) {
    value.deployment["kv_tiers"] = stated["kv_tiers"];
    value.label += stated["kv_tiers"].contains("nvme") ? ", host memory and NVMe" : ", host memory";
  }
  return value;
}

void refuse_unless_none(const JsonReader& reader) {
  if (reader.value() != "none") reader.fail("accepted: \"none\" or an object");
}

Value speculation_value(const JsonReader& reader) {
  Value value;
  value.off = reader.value().is_string();
  value.label = "none";
  value.deployment["speculation"] = nullptr;
  if (value.off) {
    refuse_unless_none(reader);
    return value;
  }
  value.deployment["speculation"] = reader.value();
  const std::string method = reader.string("method", "mtp");
  value.label = fmt::format("{} {}", method == "mtp" ? "mtp" : reader.at("model").value().is_string() ? reader.string("model") : "draft_model", reader.integer("draft_tokens"));
  return value;
}

PoolsChoice pools_choice(const JsonReader& reader) {
  PoolsChoice pools;
  pools.layerwise = reader.string("overlap", "layerwise") == "layerwise";
  if (reader.has("latency")) pools.latency_s = reader.duration("latency").value();
  pools.stay_below_tokens = static_cast<std::int32_t>(reader.integer("stay_below_tokens", 0));
  if (reader.has("prefill")) {
    const JsonReader prefill = reader.at("prefill");
    for (const char* key : {"gpus", "nodes"}) {
      for (const std::string& id : prefill.strings(key)) pools.clusters.push_back({{key[0] == 'g' ? "gpu" : "node", id}});
    }
    if (prefill.has("cluster")) pools.clusters.push_back(prefill.at("cluster").value());
    if (prefill.has("scheduler")) pools.scheduler = prefill.at("scheduler").value();
    if (prefill.has("parallel")) {
      const JsonReader parallel = prefill.at("parallel");
      if (parallel.value().is_string()) {
        if (parallel.value() != "auto") parallel.fail("accepted: \"auto\", a layout or an array of layouts");
        pools.automatic_layouts = true;
      } else {
        pools.layouts.emplace();
        if (parallel.value().is_object()) pools.layouts->push_back(parse_search_layout(parallel));
        if (parallel.value().is_array()) {
          for (const JsonReader& layout : parallel.elements()) pools.layouts->push_back(parse_search_layout(layout));
        }
      }
    }
  }
  if (reader.has("decode") && reader.at("decode").has("scheduler")) pools.decode_scheduler = reader.at("decode").at("scheduler").value();
  for (json& cluster : pools.clusters) {
    cluster.erase("gpus");
    cluster.erase("nodes");
  }
  if (pools.clusters.empty()) pools.clusters.emplace_back();
  return pools;
}

Value disaggregation_value(const JsonReader& reader) {
  Value value;
  value.off = reader.value().is_string();
  value.label = "none";
  value.deployment["disaggregation"] = nullptr;
  if (value.off) {
    refuse_unless_none(reader);
    return value;
  }
  value.pools = pools_choice(reader);
  value.label = "pools";
  std::string on;
  for (const json& cluster : value.pools->clusters) {
    for (const char* key : {"node", "gpu"}) {
      if (cluster.contains(key) && cluster[key].is_string()) on += (on.empty() ? "" : " or ") + cluster[key].get<std::string>();
    }
  }
  if (!on.empty()) value.label += ", prefill on " + on;
  if (value.pools->stay_below_tokens > 0) value.label += fmt::format(", prompts below {} stay", value.pools->stay_below_tokens);
  if (!value.pools->layerwise) value.label += ", KV sent after the prefill";
  return value;
}

/// A label as part of a candidate's id.
std::string slug(const std::string& label) {
  std::string out;
  for (const char c : label) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-';
    if (plain) {
      out += c;
    } else if (!out.empty() && out.back() != '_') {
      out += '_';
    }
  }
  return out;
}

std::vector<Value> values_of(const JsonReader& reader, const char* name, Value (*parse)(const JsonReader&), std::vector<PlanFeature>& features) {
  std::vector<Value> values;
  if (!reader.has(name)) return values;
  PlanFeature feature;
  feature.name = name;
  for (const JsonReader& item : reader.at(name).elements()) {
    values.push_back(parse(item));
    const std::string& label = values.back().label;
    if (std::find(feature.values.begin(), feature.values.end(), label) != feature.values.end()) item.fail("is the choice '" + label + "' again");
    feature.values.push_back(label);
    if (feature.baseline.empty() && values.back().off) feature.baseline = label;
  }
  if (feature.baseline.empty()) feature.baseline = feature.values.front();
  features.push_back(std::move(feature));
  return values;
}

}  // namespace

std::vector<FeatureChoice> feature_choices(const JsonReader& root, std::vector<PlanFeature>& features) {
  FeatureChoice plain;
  plain.deployment = json::object();
  if (root.has("deployment") && root.at("deployment").has("disaggregation")) {
    plain.pools = pools_choice(root.at("deployment").at("disaggregation"));
    plain.deployment["disaggregation"] = nullptr;
    const bool decode_elsewhere = root.value().contains("/deployment/disaggregation/decode/cluster"_json_pointer);
    if (decode_elsewhere && plain.pools->clusters.front().is_null()) plain.pools->clusters = {root.at("cluster").value()};
  }
  std::vector<FeatureChoice> choices = {plain};
  if (!root.has("search") || !root.at("search").has("features")) return choices;
  const JsonReader reader = root.at("search").at("features");
  const auto multiply = [&](const char* name, Value (*parse)(const JsonReader&)) {
    const std::vector<Value> values = values_of(reader, name, parse, features);
    if (values.empty()) return;
    std::vector<FeatureChoice> product;
    for (const FeatureChoice& choice : choices) {
      for (const Value& value : values) {
        FeatureChoice next = choice;
        next.values[name] = value.label;
        next.id += fmt::format("/{}_{}", name, slug(value.label));
        next.deployment.merge_patch(value.deployment);
        for (const auto& [key, part] : value.deployment.items()) {
          if (part.is_null()) next.deployment[key] = nullptr;
        }
        if (next.values.count("disaggregation") == 1) next.pools = value.pools;
        product.push_back(std::move(next));
      }
    }
    choices = std::move(product);
  };
  multiply("prefix_cache", prefix_cache_value);
  multiply("speculation", speculation_value);
  multiply("disaggregation", disaggregation_value);
  return choices;
}

}  // namespace moeplan
