#include <doctest/doctest.h>

#include <filesystem>

#include "input/json_document.hpp"
#include "support/input_error.hpp"
#include "support/json_mutator.hpp"

using namespace moeplan;

namespace {

// Parses one variant; the refusal, checked to be a single printable line, or "".
std::string refusal(const std::string& text, const std::filesystem::path& schema) {
  const std::string message = test::complaint_of([&] { parse_json(text, "s.json", schema); });
  for (const char c : message) REQUIRE((static_cast<unsigned char>(c) >= 0x20 && c != 0x7F));
  REQUIRE(message.size() < 4000);
  return message;
}

}  // namespace

TEST_CASE("a thousand damaged scenarios are read or refused in one line each, and nothing else") {
  const std::filesystem::path folder = std::filesystem::path(MOEPLAN_SOURCE_DIR) / "scenarios";
  const std::string text = read_file(folder / "mixtral-8x7b-2xh100.json");
  const auto schema = folder / "schema" / "scenario.schema.json";
  REQUIRE(refusal(text, schema).empty());
  int refused = 0;
  int with_pointer = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    CAPTURE(seed);
    const std::string message = refusal(test::mutated_json(text, seed), schema);
    if (message.empty()) continue;
    ++refused;
    CHECK(message.starts_with("s.json:"));
    if (message.starts_with("s.json: /")) ++with_pointer;
  }
  CHECK(refused > 500);
  CHECK(with_pointer > 100);
}
