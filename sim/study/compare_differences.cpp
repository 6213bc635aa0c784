#include "study/compare_differences.hpp"

#include <algorithm>
#include <set>

#include "study/compare_input.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

std::string shown(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

bool all_equal(const std::vector<std::string>& values) {
  return std::all_of(values.begin(), values.end(), [&](const std::string& v) { return v == values.front(); });
}

}  // namespace

std::string root_of(const std::string& path) {
  const std::size_t from = path.starts_with("/deployment/") ? 12 : 1;
  return path.substr(0, path.find('/', from));
}

std::string version_of(const CompareInput& input) { return input.stored ? input.stored->value("moeplan_version", "?") : MOEPLAN_VERSION; }

std::string input_of(const std::string& path) {
  static const std::vector<std::pair<std::string, std::string>> kInputs = {{"/model", "checkpoint"},
                                                                           {"file scenarios/models/", "checkpoint"},
                                                                           {"/cluster", "hardware"},
                                                                           {"file hardware_profiles/gpus/", "hardware"},
                                                                           {"file hardware_profiles/nodes/", "hardware"},
                                                                           {"/deployment/engine", "engine"},
                                                                           {"file hardware_profiles/engines/", "engine"},
                                                                           {"/deployment/cost_profile", "driver and kernel profile"},
                                                                           {"file hardware_profiles/fitted/", "driver and kernel profile"},
                                                                           {"/deployment/parallel", "layout"},
                                                                           {"/deployment/replicas", "layout"},
                                                                           {"file hardware_profiles/prices.csv", "cost"},
                                                                           {"file scenarios/routing/", "routing"},
                                                                           {"file scenarios/workloads/", "workload"},
                                                                           {"file scenarios/traces/", "workload"},
                                                                           {"moeplan_version", "program"}};
  for (const auto& [start, input] : kInputs) {
    if (path.starts_with(start)) return input;
  }
  const std::string root = root_of(path);
  return root.substr(root.rfind('/') + 1);
}

std::vector<Difference> find_differences(const std::vector<CompareInput>& inputs) {
  std::vector<json> flat;
  std::set<std::string> paths;
  std::set<std::string> files;
  for (const CompareInput& input : inputs) {
    flat.push_back(input.resolved.flatten());
    for (const auto& [path, value] : flat.back().items()) paths.insert(path);
    for (const auto& [file, hash] : input.files) files.insert(file);
  }
  std::vector<Difference> out;
  const auto add = [&out](std::string path, std::vector<std::string> values) {
    if (!all_equal(values)) out.push_back({std::move(path), std::move(values)});
  };
  for (const std::string& path : paths) {
    if (path == "/name") continue;
    std::vector<std::string> values;
    for (const json& f : flat) values.push_back(f.contains(path) ? shown(f.at(path)) : "-");
    add(path, std::move(values));
  }
  for (const std::string& file : files) {
    std::vector<std::string> values;
    for (const CompareInput& input : inputs) {
      const auto found = input.files.find(file);
      if (found != input.files.end()) values.push_back(found->second.substr(0, 12));
    }
    // A file that some do not use shows in the values above.
    if (values.size() == inputs.size()) add("file " + file, std::move(values));
  }
  std::vector<std::string> versions;
  for (const CompareInput& input : inputs) versions.push_back(version_of(input));
  add("moeplan_version", std::move(versions));
  return out;
}

}  // namespace moeplan
