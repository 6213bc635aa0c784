#include "input/json_reader.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "input/catalogue.hpp"
#include "input/printable.hpp"
#include "input/unit_text.hpp"

namespace moeplan {
namespace {

using nlohmann::json;

// The key's value, or null when it is absent, is null, or `object` is no object.
const json* find_value(const json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string string_of(const JsonReader& reader) {
  if (!reader.value().is_string()) reader.fail("found " + describe(reader.value()) + ", accepted: a string");
  return reader.value().get<std::string>();
}

double number_of(const JsonReader& reader) {
  if (!reader.value().is_number()) reader.fail("found " + describe(reader.value()) + ", accepted: a number");
  return reader.value().get<double>();
}

std::int64_t integer_of(const JsonReader& reader) {
  const json& value = reader.value();
  constexpr double kExact = 9007199254740992.0;  // 2^53: doubles up to here are exact integers
  const bool too_large = value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.is_number_integer() && !too_large) return value.get<std::int64_t>();
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::floor(number) == number && std::abs(number) <= kExact) return static_cast<std::int64_t>(number);
  }
  reader.fail("found " + describe(value) + ", accepted: an integer");
}

Precision precision_of(const JsonReader& reader) {
  const std::string name = string_of(reader);
  if (const auto precision = precision_from_string(name)) return *precision;
  std::vector<std::string> names;
  for (const Precision p : kAllPrecisions) names.emplace_back(to_string(p));
  reader.fail("unknown precision " + in_quotes(name) + did_you_mean(name, names) + ", accepted: " + list_in_quotes(names));
}

// The text under `key` for a parser of units; a bare number is the commonest mistake and gets its own words.
std::string unit_text(const JsonReader& reader, const char* example) {
  const json& value = reader.value();
  if (value.is_number()) reader.fail("found " + value.dump() + " without a unit, accepted: text with a unit, such as '" + example + "'");
  if (!value.is_string()) reader.fail("found " + describe(value) + ", accepted: text with a unit, such as '" + std::string(example) + "'");
  return value.get<std::string>();
}

}  // namespace

JsonReader::JsonReader(const JsonDocument& document) : value_(&document.root()), file_(document.file), pointer_(document.pointer) {}
JsonReader::JsonReader(const json& value, std::string file, std::string pointer)
    : value_(&value), file_(std::move(file)), pointer_(std::move(pointer)) {}

bool JsonReader::has(std::string_view key) const { return find_value(*value_, key) != nullptr; }

JsonReader JsonReader::at(std::string_view key) const {
  if (!value_->is_object()) fail("found " + describe(*value_) + ", accepted: an object");
  const json* found = find_value(*value_, key);
  if (found == nullptr) {
    std::vector<std::string> keys;
    for (const auto& [name, unused] : value_->items()) keys.push_back(name);
    fail("missing key " + in_quotes(key) + did_you_mean(key, keys));
  }
  return {*found, file_, pointer_to(pointer_, key)};
}

std::vector<JsonReader> JsonReader::elements() const {
  if (!value_->is_array()) fail("found " + describe(*value_) + ", accepted: an array");
  std::vector<JsonReader> out;
  out.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i) out.emplace_back((*value_)[i], file_, pointer_ + "/" + std::to_string(i));
  return out;
}

std::vector<std::pair<std::string, JsonReader>> JsonReader::members() const {
  if (!value_->is_object()) fail("found " + describe(*value_) + ", accepted: an object");
  std::vector<std::pair<std::string, JsonReader>> out;
  out.reserve(value_->size());
  for (const auto& [key, child] : value_->items()) out.emplace_back(key, JsonReader(child, file_, pointer_to(pointer_, key)));
  return out;
}

std::string JsonReader::string(std::string_view key) const { return string_of(at(key)); }
std::string JsonReader::string(std::string_view key, std::string_view fallback) const { return has(key) ? string(key) : std::string(fallback); }
std::int64_t JsonReader::integer(std::string_view key) const { return integer_of(at(key)); }
std::int64_t JsonReader::integer(std::string_view key, std::int64_t fallback) const { return has(key) ? integer(key) : fallback; }
double JsonReader::number(std::string_view key) const { return number_of(at(key)); }
double JsonReader::number(std::string_view key, double fallback) const { return has(key) ? number(key) : fallback; }
Precision JsonReader::precision(std::string_view key) const { return precision_of(at(key)); }
Precision JsonReader::precision(std::string_view key, Precision fallback) const { return has(key) ? precision(key) : fallback; }

bool JsonReader::boolean(std::string_view key, bool fallback) const {
  if (!has(key)) return fallback;
  const JsonReader reader = at(key);
  if (!reader.value().is_boolean()) reader.fail("found " + describe(reader.value()) + ", accepted: true or false");
  return reader.value().get<bool>();
}

std::vector<std::string> JsonReader::strings(std::string_view key) const {
  std::vector<std::string> out;
  if (!has(key)) return out;
  for (const JsonReader& element : at(key).elements()) out.push_back(string_of(element));
  return out;
}

Bytes JsonReader::bytes(std::string_view key) const {
  const JsonReader reader = at(key);
  return parse_bytes(unit_text(reader, "80 GB"), reader.where());
}
BytesPerSecond JsonReader::bandwidth(std::string_view key) const {
  const JsonReader reader = at(key);
  return parse_bandwidth(unit_text(reader, "3.35 TB/s"), reader.where());
}
FlopsPerSecond JsonReader::flops_rate(std::string_view key) const {
  const JsonReader reader = at(key);
  return parse_flops_rate(unit_text(reader, "989 TFLOPS"), reader.where());
}
Seconds JsonReader::duration(std::string_view key) const {
  const JsonReader reader = at(key);
  return parse_duration(unit_text(reader, "50 ms"), reader.where());
}
double JsonReader::rate_per_second(std::string_view key) const {
  const JsonReader reader = at(key);
  return parse_rate(unit_text(reader, "8 /s"), reader.where());
}
double JsonReader::watts(std::string_view key) const {
  const JsonReader reader = at(key);
  return parse_watts(unit_text(reader, "700 W"), reader.where());
}

std::string JsonReader::where() const { return pointer_.empty() ? file_ : file_ + ": " + printable(pointer_, 200); }

// Callers quote what they found; one line of printable text whatever that was.
void JsonReader::fail(std::string_view what) const { throw InputError(where(), printable(what, 2000)); }

}  // namespace moeplan
