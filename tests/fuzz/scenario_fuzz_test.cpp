#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "input/json_document.hpp"
#include "study/data_root.hpp"
#include "study/scenario.hpp"
#include "support/input_error.hpp"
#include "support/json_mutator.hpp"

using namespace moeplan;
namespace fs = std::filesystem;

namespace {

const DataRoot& data() {
  static const DataRoot root(MOEPLAN_SOURCE_DIR);
  return root;
}

std::vector<fs::path> json_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  REQUIRE_FALSE(files.empty());
  return files;
}

// The refusal of a scenario text, which must be one printable line, or "". Anything but an InputError fails the test.
std::string refusal(const std::string& text) {
  const std::string message = test::complaint_of([&] {
    const JsonDocument document = parse_json(text, "s.json", data().schema("scenario"));
    resolve_scenario(document, fs::path(MOEPLAN_SOURCE_DIR) / "scenarios", data());
  });
  for (const char c : message) REQUIRE((static_cast<unsigned char>(c) >= 0x20 && c != 0x7F));
  return message;
}

// Feeds `count` variants of the texts in turn; how many were refused.
int refused_variants(const std::vector<std::string>& texts, int count) {
  int refused = 0;
  for (int i = 0; i < count; ++i) {
    const std::size_t which = static_cast<std::size_t>(i) % texts.size();
    CAPTURE(i);
    const std::string variant = test::mutated_json(texts[which], static_cast<std::uint64_t>(i));
    std::string message;
    CHECK_NOTHROW(message = refusal(variant));
    if (!message.empty()) ++refused;
  }
  return refused;
}

}  // namespace

TEST_CASE("a thousand damaged scenarios are resolved or refused in one line each") {
  std::vector<std::string> texts;
  for (const fs::path& file : json_files(fs::path(MOEPLAN_SOURCE_DIR) / "scenarios")) {
    CAPTURE(file.filename().string());
    texts.push_back(read_file(file));
    CHECK(refusal(texts.back()) == "");
  }
  CHECK(refused_variants(texts, 1000) > 600);
}

TEST_CASE("damaged models, nodes and engines inside a scenario are resolved or refused in one line each") {
  const auto read = [](const fs::path& file) { return nlohmann::ordered_json::parse(read_file(file), nullptr, true, true); };
  const nlohmann::ordered_json scenario = read(fs::path(MOEPLAN_SOURCE_DIR) / "scenarios/mixtral-8x7b-2xh100.json");
  std::vector<std::string> texts;
  const auto embed = [&](const nlohmann::json::json_pointer& place, const fs::path& file) {
    nlohmann::ordered_json with = scenario;
    with[nlohmann::ordered_json::json_pointer(place.to_string())] = read(file);
    texts.push_back(with.dump(2));
  };
  // Of 70 models, every tenth; of the rest the default scenario's own.
  const std::vector<fs::path> models = json_files(data().models());
  for (std::size_t i = 0; i < models.size(); i += 10) embed(nlohmann::json::json_pointer("/model"), models[i]);
  embed(nlohmann::json::json_pointer("/cluster/node"), data().nodes() / "hgx-h100.json");
  embed(nlohmann::json::json_pointer("/deployment/engine"), data().engines() / "vllm.json");
  CHECK(refused_variants(texts, 600) > 300);
}
