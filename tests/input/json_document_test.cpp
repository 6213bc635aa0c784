#include "input/json_document.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/input_error.hpp"
#include "support/temporary_folder.hpp"

using moeplan::parse_json;
using moeplan::test::complaint_of;

namespace {
std::string refusal(const std::string& text) {
  return complaint_of([&] { parse_json(text, "a.json"); });
}
std::string nested(int depth) { return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']'); }
}  // namespace

TEST_CASE("a comment after // is ignored and a // inside text is kept") {
  const auto document = parse_json("{ // why\n \"url\": \"http://x\" // end\n}", "a.json");
  CHECK(document.root()["url"] == "http://x");
  CHECK(document.root().size() == 1);
}

TEST_CASE("broken syntax is refused with the line and column of the offending character") {
  // Line 2 is `  "rate" 8` : the 8 is its tenth character.
  const std::string message = refusal("{\n  \"rate\" 8\n}");
  CHECK(message.starts_with("a.json:2:10: not valid JSON: "));
  CHECK(message.find('\n') == std::string::npos);
  CHECK(refusal("").starts_with("a.json:1:1: not valid JSON"));
  CHECK(refusal("{\"a\": 1e999}").find("number overflow") != std::string::npos);
  CHECK(refusal("{\"a\": 1} x").starts_with("a.json:1:10: "));
  CHECK(refusal("{\"a\": NaN}").starts_with("a.json:1:7: "));
}

TEST_CASE("a duplicate key is refused at its own line and column, even when it is spelt with escapes") {
  CHECK(refusal("{\"seed\": 1,\n  \"seed\": 2}") == "a.json:2:3: duplicate key 'seed' in one object");
  CHECK(refusal("{\"a\\\"b\": 1, \"a\\\"b\": 2}") == "a.json:1:13: duplicate key 'a\"b' in one object");
  CHECK(refusal("{\"s\": 1, \"\\u0073\": 2}") == "a.json:1:10: duplicate key 's' in one object");
}

TEST_CASE("the same key in different objects is fine") {
  CHECK(refusal("{\"a\": {\"k\": 1}, \"b\": {\"k\": 1}, \"k\": [{\"k\": 2}, {\"k\": 3}]}").empty());
}

TEST_CASE("200 levels of nesting are read and 201 are refused") {
  CHECK(refusal(nested(200)).empty());
  CHECK(refusal(nested(201)) == "a.json:1:201: nested deeper than 200 levels");
  CHECK(refusal(std::string(1'000'000, '[')) == "a.json:1:201: nested deeper than 200 levels");
  std::string objects;
  for (int i = 0; i < 201; ++i) objects += "{\"a\":";
  CHECK(refusal(objects).find("nested deeper than 200 levels") != std::string::npos);
}

TEST_CASE("a byte that is not UTF-8 is refused and does not reach the message") {
  const std::string message = refusal("{\"a\xFF\x01\": 1}");
  CHECK(message.starts_with("a.json:1:"));
  CHECK(message.find('\xFF') == std::string::npos);
  CHECK(message.find('\x01') == std::string::npos);
}

TEST_CASE("a file that is missing or a folder is refused by name") {
  const moeplan::test::TemporaryFolder folder;
  const auto missing = folder.path() / "none.json";
  CHECK(complaint_of([&] { moeplan::load_json(missing); }) == missing.string() + ": no such file");
  CHECK(complaint_of([&] { moeplan::load_json(folder.path()); }) == folder.path().string() + ": is a directory, not a file");
  const auto file = folder.write("x.json", "{\"a\": 1}");
  CHECK(moeplan::load_json(file).root()["a"] == 1);
  CHECK(moeplan::load_json(file).file == file.string());
}
