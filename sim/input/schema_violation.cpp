#include "input/schema_violation.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <vector>

#include "input/catalogue.hpp"
#include "input/printable.hpp"

namespace moeplan {
namespace {

using nlohmann::json;
using Violation = std::optional<SchemaViolation>;

// The place in the document under examination.
struct Place {
  std::string pointer;
  int depth = 0;
  [[nodiscard]] Place child(std::string_view key) const { return {pointer_to(pointer, key), depth + 1}; }
};

Violation violation(const Place& place, std::string what) { return SchemaViolation{place.pointer, std::move(what), place.depth}; }

// The deeper of two; the earlier one when they are equally deep.
void keep_deeper(Violation& best, Violation other) {
  if (other && (!best || other->depth > best->depth)) best = std::move(other);
}

bool has_type(const json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "integer") return value.is_number_integer();
  return type == "number" && value.is_number();
}

std::string article(const std::string& type) {
  if (type == "null") return type;
  return (type == "object" || type == "array" || type == "integer" ? "an " : "a ") + type;
}

std::vector<std::string> types_of(const json& schema) {
  if (!schema.is_object() || !schema.contains("type")) return {};
  const json& type = schema["type"];
  if (type.is_string()) return {type.get<std::string>()};
  return type.get<std::vector<std::string>>();
}

std::string join_types(const std::vector<std::string>& types) {
  std::string out;
  for (const auto& type : types) out += (out.empty() ? "" : " or ") + article(type);
  return out;
}

// The values a schema pins down with const or enum; empty when it does not.
std::vector<json> pinned_values(const json& schema) {
  if (!schema.is_object()) return {};
  if (schema.contains("const")) return {schema["const"]};
  if (schema.contains("enum")) return schema["enum"].get<std::vector<json>>();
  return {};
}

std::string list_values(const std::vector<json>& values) {
  std::string out;
  for (const auto& value : values) out += (out.empty() ? "" : ", ") + describe(value);
  return out;
}

std::string near_values(const json& found, const std::vector<json>& values) {
  if (!found.is_string()) return "";
  std::vector<std::string> names;
  for (const auto& value : values) {
    if (value.is_string()) names.push_back(value.get<std::string>());
  }
  return did_you_mean(found.get<std::string>(), names);
}

std::string not_among(const json& found, const std::vector<json>& values) {
  return "found " + describe(found) + near_values(found, values) + ", accepted: " + list_values(values);
}

class Examiner {
 public:
  explicit Examiner(const json& root) : root_(root) {}

  [[nodiscard]] Violation examine(const json& unresolved, const json& value, const Place& place) const {
    const json& schema = resolve(unresolved);
    if (schema.is_boolean()) return schema.get<bool>() ? Violation() : violation(place, "not accepted here");
    if (!schema.is_object()) return {};
    Violation best = examine_type(schema, value, place);
    if (best) return best;
    const std::vector<json> pinned = pinned_values(schema);
    if (!pinned.empty() && std::find(pinned.begin(), pinned.end(), value) == pinned.end()) return violation(place, not_among(value, pinned));
    if (value.is_object()) keep_deeper(best, examine_object(schema, value, place));
    if (value.is_array()) keep_deeper(best, examine_array(schema, value, place));
    if (value.is_number()) keep_deeper(best, examine_number(schema, value, place));
    if (value.is_string()) keep_deeper(best, examine_string(schema, value.get_ref<const std::string&>(), place));
    keep_deeper(best, examine_combinations(schema, value, place));
    return best;
  }

 private:
  // Follows references; gives up (accepting all) on a chain that never ends or leads nowhere.
  [[nodiscard]] const json& resolve(const json& schema) const {
    static const json kAccepting = true;
    const json* node = &schema;
    for (int hops = 0; hops < 32; ++hops) {
      if (!node->is_object() || !node->contains("$ref") || !(*node)["$ref"].is_string()) return *node;
      const std::string reference = (*node)["$ref"].get<std::string>();
      if (reference.empty() || reference[0] != '#') return kAccepting;
      const json::json_pointer pointer(reference.substr(1));
      if (!root_.contains(pointer)) return kAccepting;
      node = &root_.at(pointer);
    }
    return kAccepting;
  }

  static Violation examine_type(const json& schema, const json& value, const Place& place) {
    const std::vector<std::string> types = types_of(schema);
    if (types.empty() || std::any_of(types.begin(), types.end(), [&](const auto& type) { return has_type(value, type); })) return {};
    std::string what = "found " + describe(value) + ", accepted: " + join_types(types);
    if (schema.contains("examples")) what += ", such as " + list_values(schema["examples"].get<std::vector<json>>());
    return violation(place, what);
  }

  [[nodiscard]] Violation examine_object(const json& schema, const json& value, const Place& place) const {
    Violation best;
    for (const auto& [key, child] : value.items()) keep_deeper(best, examine_member(schema, key, child, place));
    for (const auto& key : schema.value("required", json::array())) {
      const std::string name = key.get<std::string>();
      if (!value.contains(name)) keep_deeper(best, violation(place, "missing key " + in_quotes(name)));
    }
    const std::size_t size = value.size();
    if (size < schema.value("minProperties", std::size_t{0})) keep_deeper(best, violation(place, count_message(size, "keys", schema, "Properties")));
    if (size > schema.value("maxProperties", size)) keep_deeper(best, violation(place, count_message(size, "keys", schema, "Properties")));
    return best;
  }

  [[nodiscard]] Violation examine_member(const json& schema, const std::string& key, const json& child, const Place& place) const {
    Violation best;
    bool known = false;
    if (schema.contains("properties") && schema["properties"].contains(key)) {
      known = true;
      keep_deeper(best, examine(schema["properties"][key], child, place.child(key)));
    }
    const json patterns = schema.value("patternProperties", json::object());
    for (const auto& [pattern, subschema] : patterns.items()) {
      if (!std::regex_search(key, std::regex(pattern))) continue;
      known = true;
      keep_deeper(best, examine(subschema, child, place.child(key)));
    }
    if (schema.contains("propertyNames")) {
      const Violation name = examine(schema["propertyNames"], json(key), place);
      if (name) keep_deeper(best, violation(place, "key " + in_quotes(key) + ": " + name->what));
    }
    if (known || !schema.contains("additionalProperties")) return best;
    const json& rest = schema["additionalProperties"];
    if (rest.is_boolean() && !rest.get<bool>()) {
      keep_deeper(best, unknown_key(schema, key, place));
    } else {
      keep_deeper(best, examine(rest, child, place.child(key)));
    }
    return best;
  }

  static Violation unknown_key(const json& schema, const std::string& key, const Place& place) {
    std::vector<std::string> known;
    const json properties = schema.value("properties", json::object());
    for (const auto& [name, unused] : properties.items()) known.push_back(name);
    // As deep as the key's own value would be: a misspelt key beats the "missing key" that it causes.
    return violation(place.child(key), "unknown key " + in_quotes(key) + did_you_mean(key, known) +
                                           (known.empty() ? ", no keys are accepted here" : ", accepted: " + list_in_quotes(known)));
  }

  static std::string count_message(std::size_t found, const std::string& noun, const json& schema, const std::string& suffix) {
    std::string accepted;
    if (schema.contains("min" + suffix)) accepted += "at least " + schema["min" + suffix].dump();
    if (schema.contains("max" + suffix)) accepted += (accepted.empty() ? "at most " : " and at most ") + schema["max" + suffix].dump();
    return "found " + std::to_string(found) + " " + noun + ", accepted: " + accepted;
  }

  [[nodiscard]] Violation examine_array(const json& schema, const json& value, const Place& place) const {
    Violation best;
    const std::size_t size = value.size();
    if (size < schema.value("minItems", std::size_t{0}) || size > schema.value("maxItems", size)) {
      best = violation(place, count_message(size, "elements", schema, "Items"));
    }
    for (std::size_t i = 0; schema.contains("items") && i < size; ++i) {
      const json& items = schema["items"];
      if (items.is_array() && i >= items.size()) break;
      keep_deeper(best, examine(items.is_array() ? items[i] : items, value[i], place.child(std::to_string(i))));
    }
    if (schema.value("uniqueItems", false)) {
      for (std::size_t i = 1; i < size; ++i) {
        if (std::find(value.begin(), value.begin() + static_cast<std::ptrdiff_t>(i), value[i]) == value.begin() + static_cast<std::ptrdiff_t>(i)) continue;
        keep_deeper(best, violation(place.child(std::to_string(i)), "found " + describe(value[i]) + " twice, accepted: each value once"));
      }
    }
    return best;
  }

  static Violation examine_number(const json& schema, const json& value, const Place& place) {
    const double number = value.get<double>();
    const auto limit = [&](const char* key) { return schema.contains(key) && schema[key].is_number() ? schema[key].get<double>() : number; };
    std::string accepted;
    if (schema.contains("minimum")) accepted += "at least " + schema["minimum"].dump();
    if (schema.contains("exclusiveMinimum")) accepted += "more than " + schema["exclusiveMinimum"].dump();
    const std::string joint = accepted.empty() ? "" : ", ";
    if (schema.contains("maximum")) accepted += joint + "at most " + schema["maximum"].dump();
    if (schema.contains("exclusiveMaximum")) accepted += joint + "less than " + schema["exclusiveMaximum"].dump();
    const bool outside = number < limit("minimum") || number > limit("maximum") ||
                         (schema.contains("exclusiveMinimum") && number <= limit("exclusiveMinimum")) ||
                         (schema.contains("exclusiveMaximum") && number >= limit("exclusiveMaximum"));
    if (outside) return violation(place, "found " + describe(value) + ", accepted: " + accepted);
    return {};
  }

  static Violation examine_string(const json& schema, const std::string& text, const Place& place) {
    const std::size_t size = text.size();
    if (size < schema.value("minLength", std::size_t{0}) || size > schema.value("maxLength", size)) {
      return violation(place, size == 0 ? "found empty text" : count_message(size, "characters", schema, "Length"));
    }
    if (!schema.contains("pattern") || std::regex_search(text, std::regex(schema["pattern"].get<std::string>()))) return {};
    std::string accepted = schema.contains("examples") ? "text such as " + list_values(schema["examples"].get<std::vector<json>>())
                                                       : "text that matches " + schema["pattern"].get<std::string>();
    return violation(place, "found " + in_quotes(text) + ", accepted: " + accepted);
  }

  [[nodiscard]] Violation examine_combinations(const json& schema, const json& value, const Place& place) const {
    Violation best;
    for (const auto& part : schema.value("allOf", json::array())) keep_deeper(best, examine(part, value, place));
    for (const char* key : {"oneOf", "anyOf"}) {
      if (schema.contains(key)) keep_deeper(best, examine_branches(schema[key], value, place, std::string_view(key) == "oneOf"));
    }
    if (schema.contains("if")) {
      const char* taken = examine(schema["if"], value, place) ? "else" : "then";
      if (schema.contains(taken)) keep_deeper(best, examine(schema[taken], value, place));
    }
    if (schema.contains("not") && !examine(schema["not"], value, place)) keep_deeper(best, violation(place, "found " + describe(value) + ", which is not accepted here"));
    return best;
  }

  // Among the branches that the value's discriminator, else its type, leaves over: nothing when one fits, else the deepest complaint.
  [[nodiscard]] Violation examine_branches(const json& branches, const json& value, const Place& place, bool exactly_one) const {
    std::vector<const json*> meant;
    for (const auto& branch : branches) meant.push_back(&resolve(branch));
    if (Violation wrong = narrow_by_discriminator(meant, value, place)) return wrong;
    if (Violation wrong = narrow_by_type(meant, value, place)) return wrong;
    Violation best;
    std::size_t fitting = 0;
    for (const json* branch : meant) {
      Violation complaint = examine(*branch, value, place);
      if (!complaint) ++fitting;
      keep_deeper(best, std::move(complaint));
    }
    if (fitting == 1 || (fitting > 1 && !exactly_one)) return {};
    if (fitting > 1) return violation(place, "found a value that could mean " + std::to_string(fitting) + " different things");
    return best;
  }

  // A property that every object branch pins to values, different ones in at least two of them. "" when there is none.
  [[nodiscard]] std::string discriminator_of(const std::vector<const json*>& branches) const {
    std::vector<const json*> objects;
    for (const json* branch : branches) {
      if (branch->is_object() && branch->contains("properties")) objects.push_back(branch);
    }
    if (objects.size() < 2) return "";
    for (const auto& [name, unused] : (*objects[0])["properties"].items()) {
      std::vector<std::vector<json>> pinned;
      for (const json* branch : objects) {
        const json& properties = (*branch)["properties"];
        pinned.push_back(properties.contains(name) ? pinned_values(resolve(properties[name])) : std::vector<json>{});
      }
      const bool everywhere = std::none_of(pinned.begin(), pinned.end(), [](const auto& values) { return values.empty(); });
      const bool differing = std::any_of(pinned.begin(), pinned.end(), [&](const auto& values) { return values != pinned[0]; });
      if (everywhere && differing) return name;
    }
    return "";
  }

  // Keeps the branches whose discriminator has the value found; a violation when there are none or the discriminator is missing.
  [[nodiscard]] Violation narrow_by_discriminator(std::vector<const json*>& branches, const json& value, const Place& place) const {
    const std::string name = value.is_object() ? discriminator_of(branches) : "";
    if (name.empty()) return {};
    std::vector<json> accepted;
    std::vector<const json*> meant;
    for (const json* branch : branches) {
      if (!branch->is_object() || !branch->contains("properties")) continue;
      const std::vector<json> pinned = pinned_values(resolve((*branch)["properties"][name]));
      accepted.insert(accepted.end(), pinned.begin(), pinned.end());
      const json required = branch->value("required", json::array());
      const bool optional = std::find(required.begin(), required.end(), json(name)) == required.end();
      if (value.contains(name) ? std::find(pinned.begin(), pinned.end(), value[name]) != pinned.end() : optional) meant.push_back(branch);
    }
    if (meant.empty() && !value.contains(name)) return violation(place, "missing key " + in_quotes(name) + ", accepted values: " + list_values(accepted));
    if (meant.empty()) return violation(place.child(name), not_among(value[name], accepted));
    branches = std::move(meant);
    return {};
  }

  // Keeps the branches whose type the value has; a violation when there are none.
  static Violation narrow_by_type(std::vector<const json*>& branches, const json& value, const Place& place) {
    std::vector<const json*> meant;
    std::vector<std::string> accepted;
    for (const json* branch : branches) {
      if (examine_type(*branch, value, place)) {
        for (auto& type : types_of(*branch)) {
          if (std::find(accepted.begin(), accepted.end(), type) == accepted.end()) accepted.push_back(std::move(type));
        }
      } else {
        meant.push_back(branch);
      }
    }
    if (meant.empty()) return violation(place, "found " + describe(value) + ", accepted: " + join_types(accepted));
    branches = std::move(meant);
    return {};
  }

  const json& root_;
};

}  // namespace

std::optional<SchemaViolation> find_violation(const nlohmann::json& schema, const nlohmann::json& document) {
  return Examiner(schema).examine(schema, document, Place{});
}

}  // namespace moeplan
