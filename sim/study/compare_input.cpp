#include "study/compare_input.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"
#include "study/resolved_scenario.hpp"

namespace moeplan {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr const char* kResultSchema = "moeplan result 1";

/// Whether a file listed by a result lies in the catalogues; else it is the scenario's own file, whose content is compared value by value.
bool in_catalogue(const std::string& file) {
  static const std::vector<std::string> kFolders = {"hardware_profiles/", "scenarios/models/", "scenarios/workloads/", "scenarios/routing/",
                                                    "scenarios/traces/"};
  return std::any_of(kFolders.begin(), kFolders.end(), [&](const std::string& folder) { return file.starts_with(folder); });
}

CompareInput from_result(const JsonDocument& document, const std::string& file, const DataRoot& data) {
  const JsonReader root(document);
  if (root.string("schema") != kResultSchema)
    root.at("schema").fail("accepted: \"" + std::string(kResultSchema) + "\", a result of simulate, plan or compare");
  if (!root.has("scenario") || !root.at("scenario").value().is_object()) root.fail("a stored result holds its \"scenario\"");
  CompareInput input;
  input.file = file;
  input.stored = root.value();
  input.resolved = root.at("scenario").value();
  input.name = root.at("scenario").string("name", fs::path(file).stem().string());
  if (root.has("provenance") && root.at("provenance").has("files")) {
    for (const JsonReader& entry : root.at("provenance").at("files").elements()) {
      if (in_catalogue(entry.string("file"))) input.files[entry.string("file")] = entry.string("sha256");
    }
  }
  input.resolve_with(data);
  return input;
}

}  // namespace

void CompareInput::resolve_with(const DataRoot& data) {
  changed_since.clear();
  try {
    scenario = resolve_again(resolved, file + " (scenario)", data);
  } catch (const InputError& error) {
    why_not = error.what();
    return;
  }
  const auto now = hashed_files(*scenario, data);
  for (const auto& [path, hash] : files) {
    const auto found = now.find(path);
    if (found != now.end() && found->second != hash) changed_since.push_back(path);
  }
}

std::map<std::string, std::string> hashed_files(const Scenario& scenario, const DataRoot& data) {
  std::map<std::string, std::string> files;
  for (const fs::path& file : scenario.files) {
    const std::string name = data.display(file);
    if (in_catalogue(name)) files[name] = sha256_of_file(file);
  }
  return files;
}

Scenario resolve_again(const json& resolved, const std::string& label, const DataRoot& data) {
  return resolve_scenario(parse_json(resolved.dump(), label, data.schema("scenario")), data.folder(), data);
}

void tell_names_apart(std::vector<CompareInput>& inputs) {
  std::map<std::string, int> count;
  for (const CompareInput& input : inputs) ++count[input.name];
  for (CompareInput& input : inputs) {
    if (count[input.name] > 1) input.name += " (" + fs::path(input.file).filename().string() + ")";
  }
  std::map<std::string, int> seen;
  for (CompareInput& input : inputs) {
    if (const int n = ++seen[input.name]; n > 1) input.name += " #" + std::to_string(n);
  }
}

CompareInput make_compare_input(Scenario scenario, const DataRoot& data) {
  CompareInput input;
  input.name = scenario.name;
  input.file = scenario.file;
  input.resolved = resolved_scenario_json(scenario, data);
  input.files = hashed_files(scenario, data);
  input.scenario = std::move(scenario);
  return input;
}

CompareInput load_compare_input(const fs::path& file, const DataRoot& data) {
  const JsonDocument document = load_json(file);
  if (document.root().is_object() && document.root().contains("schema")) return from_result(document, file.string(), data);
  CompareInput input = make_compare_input(load_scenario(file, data), data);
  input.file = file.string();
  if (input.name.empty()) input.name = file.stem().string();
  return input;
}

}  // namespace moeplan
