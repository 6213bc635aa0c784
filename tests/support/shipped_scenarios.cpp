#include "support/shipped_scenarios.hpp"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

namespace moeplan::test {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {
fs::path scenario_folder() { return fs::path(MOEPLAN_SOURCE_DIR) / "scenarios"; }
}  // namespace

std::vector<fs::path> shipped_scenarios() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(scenario_folder())) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

json cut_down(const fs::path& scenario, int requests) {
  std::ifstream stream(scenario);
  json root = json::parse(stream, nullptr, true, true);
  json& workload = root.at("workload");
  workload["requests"] = requests;
  workload["warmup_requests"] = requests / 10;
  for (const char* part : {"arrivals", "prompt_tokens", "output_tokens"}) {
    if (!workload.contains(part) || !workload[part].contains("file")) continue;
    json& file = workload[part]["file"];
    file = (scenario_folder() / file.get<std::string>()).string();
  }
  return root;
}

json small_scenario() { return cut_down(scenario_folder() / "mixtral-8x7b-2xh100.json", 40); }

json with(json scenario, const std::string& pointer, const std::string& value) {
  scenario[json::json_pointer(pointer)] = json::parse(value);
  return scenario;
}

}  // namespace moeplan::test
