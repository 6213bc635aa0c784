// What the workload tests share: drawing a whole source, the message of a refusal.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/error.hpp"
#include "input/json_reader.hpp"
#include "workload/parse_workload.hpp"
#include "workload/request_sources.hpp"

namespace moeplan::test {

inline std::vector<RequestSpec> drain(RequestSource& source) {
  std::vector<RequestSpec> all;
  while (const auto spec = source.next()) all.push_back(*spec);
  return all;
}

inline std::vector<RequestSpec> requests_of(const WorkloadConfig& config, std::uint64_t seed = 1) {
  return drain(*make_request_source(config, seed));
}

/// Poisson arrivals at `rate` per second, prompts of 100 and outputs of 10 tokens.
inline WorkloadConfig poisson(double rate, std::uint64_t requests) {
  WorkloadConfig config;
  config.arrivals.rate = rate;
  config.classes = {WorkloadClass{"default", 1, LengthConfig::fixed(100), LengthConfig::fixed(10)}};
  config.requests = requests;
  return config;
}

inline WorkloadConfig trace(const std::filesystem::path& file) {
  WorkloadConfig config;
  config.arrivals.process = ArrivalProcess::kTrace;
  config.arrivals.file = file;
  config.classes = {WorkloadClass{"default", 1, LengthConfig::from_trace(), LengthConfig::from_trace()}};
  return config;
}

inline WorkloadConfig parse(const std::string& json, const std::filesystem::path& base = {}) {
  const JsonDocument document = parse_json(json, "s.json");
  return parse_workload(JsonReader(document), base);
}

/// The message of the InputError that `action` throws, "" when it throws none.
template <class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace moeplan::test
