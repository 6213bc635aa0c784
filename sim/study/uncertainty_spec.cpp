#include "study/uncertainty_spec.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "input/json_reader.hpp"
#include "input/unit_text.hpp"

namespace moeplan {

namespace {

template <class Value>
std::optional<Range> parse_range(const JsonReader& reader, const char* key, bool zero_allowed, Value value_of) {
  if (!reader.has(key)) return std::nullopt;
  const JsonReader entry = reader.at(key);
  const auto ends = entry.elements();
  if (ends.size() != 2) entry.fail("a range is [least, most]");
  const Range range = {value_of(ends[0]), value_of(ends[1])};
  if (range[0] > range[1]) entry.fail(fmt::format("the least ({}) exceeds the most ({})", range[0], range[1]));
  if (zero_allowed ? range[0] < 0 : range[0] <= 0) entry.fail(zero_allowed ? "a range must not be negative" : "a range must be positive");
  return range;
}

double number_of(const JsonReader& end) {
  if (!end.value().is_number()) end.fail("accepted: a number");
  return end.value().get<double>();
}

double rate_of(const JsonReader& end) {
  if (!end.value().is_string()) end.fail("accepted: a rate with its unit, like \"6 /s\"");
  return parse_rate(end.value().get<std::string>(), end.where());
}

}  // namespace

UncertaintySpec parse_uncertainty(const JsonReader& reader) {
  UncertaintySpec spec;
  spec.samples = static_cast<int>(reader.integer("samples", spec.samples));
  spec.level = reader.number("level", spec.level);
  spec.rate = parse_range(reader, "rate", false, rate_of);
  spec.load_factor = parse_range(reader, "load_factor", false, number_of);
  spec.prompt_tokens_factor = parse_range(reader, "prompt_tokens_factor", false, number_of);
  spec.output_tokens_factor = parse_range(reader, "output_tokens_factor", false, number_of);
  spec.routing_sigma = parse_range(reader, "routing_sigma", true, number_of);
  if (spec.rate && spec.load_factor) reader.fail("state \"rate\" or \"load_factor\", not both");
  return spec;
}

}  // namespace moeplan
