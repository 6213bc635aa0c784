#include "input/schema.hpp"

#include <doctest/doctest.h>

#include "support/input_error.hpp"
#include "support/temporary_folder.hpp"

using moeplan::test::complaint_of;
using moeplan::test::TemporaryFolder;

namespace {

constexpr const char* kSchema = R"({
  "type": "object", "additionalProperties": false, "required": ["name", "arrivals"],
  "properties": {
    "name": { "type": "string", "minLength": 1 },
    "seed": { "type": "integer", "minimum": 0 },
    "rental": { "type": "string", "pattern": "^[0-9.]+ USD/h$", "examples": ["1.69 USD/h"] },
    "counts": { "type": "array", "minItems": 1, "items": { "type": "integer", "exclusiveMinimum": 0, "maximum": 64 } },
    "model": { "oneOf": [ { "type": "string" }, { "type": "object", "required": ["layers"], "properties": { "layers": { "type": "integer" } } } ] },
    "precision": { "$ref": "parts.schema.json#/definitions/precision" },
    "arrivals": { "oneOf": [ { "$ref": "#/definitions/poisson" }, { "$ref": "#/definitions/gamma" }, { "$ref": "#/definitions/closed" } ] }
  },
  "definitions": {
    "poisson": { "type": "object", "additionalProperties": false, "required": ["process", "rate"],
      "properties": { "process": { "const": "poisson" }, "rate": { "$ref": "#/definitions/rate" } } },
    "gamma": { "type": "object", "additionalProperties": false, "required": ["process", "rate", "cv"],
      "properties": { "process": { "enum": ["gamma", "erlang"] }, "rate": { "$ref": "#/definitions/rate" }, "cv": { "type": "number", "minimum": 0 } } },
    "closed": { "type": "object", "additionalProperties": false, "required": ["process", "concurrency"],
      "properties": { "process": { "const": "closed" }, "concurrency": { "type": "integer", "minimum": 1 } } },
    "rate": { "type": "string", "examples": ["8 /s"] }
  } })";
constexpr const char* kParts = R"({ "definitions": { "name": { "enum": ["fp8", "bf16"] }, "precision": { "$ref": "#/definitions/name" } } })";

std::string refusal(const std::string& text) {
  const TemporaryFolder folder;
  folder.write("parts.schema.json", kParts);
  const auto schema = folder.write("s.schema.json", kSchema);
  return complaint_of([&] { moeplan::parse_json(text, "s.json", schema); });
}

// A valid document with one more member.
std::string with(const std::string& member) { return R"({"name": "n", "arrivals": {"process": "closed", "concurrency": 1}, )" + member + "}"; }

}  // namespace

TEST_CASE("a document that matches its schema is accepted") {
  CHECK(refusal(with(R"("seed": 1, "rental": "1.5 USD/h", "counts": [8, 64], "model": "m", "precision": "fp8")")).empty());
  CHECK(refusal(with(R"("model": {"layers": 3})")).empty());
}

TEST_CASE("an unknown key is refused with the nearest known key and all accepted ones") {
  CHECK(refusal(with(R"("sed": 1)")) == "s.json: /sed: unknown key 'sed' (did you mean 'seed'?), accepted: 'arrivals', 'counts', 'model', 'name', 'precision', 'rental', 'seed'");
}

TEST_CASE("a misspelt key is reported rather than the missing key it causes") {
  CHECK(refusal(R"({"name": "n", "arivals": {}})").find("unknown key 'arivals' (did you mean 'arrivals'?)") != std::string::npos);
  CHECK(refusal(R"({"name": "n"})") == "s.json: missing key 'arrivals'");
}

TEST_CASE("the discriminator chooses the branch that the message is about") {
  CHECK(refusal(R"({"name": "n", "arrivals": {"process": "gamma", "rate": "8 /s"}})") == "s.json: /arrivals: missing key 'cv'");
  CHECK(refusal(R"({"name": "n", "arrivals": {"process": "poisson", "rate": "8 /s", "cv": 1}})") ==
        "s.json: /arrivals/cv: unknown key 'cv', accepted: 'process', 'rate'");
  CHECK(refusal(R"({"name": "n", "arrivals": {"process": "closed", "concurrency": 0}})") ==
        "s.json: /arrivals/concurrency: found 0, accepted: at least 1");
}

TEST_CASE("an unknown or missing discriminator is refused with the values of all branches") {
  CHECK(refusal(R"({"name": "n", "arrivals": {"process": "poison", "rate": "8 /s"}})") ==
        "s.json: /arrivals/process: found 'poison' (did you mean 'poisson'?), accepted: 'poisson', 'gamma', 'erlang', 'closed'");
  CHECK(refusal(R"({"name": "n", "arrivals": {"rate": "8 /s"}})") ==
        "s.json: /arrivals: missing key 'process', accepted values: 'poisson', 'gamma', 'erlang', 'closed'");
}

TEST_CASE("branches of different types are told apart by the type found") {
  CHECK(refusal(with(R"("model": {"layers": "x"})")) == "s.json: /model/layers: found 'x', accepted: an integer");
  CHECK(refusal(with(R"("model": 5)")) == "s.json: /model: found 5, accepted: a string or an object");
}

TEST_CASE("the deepest violation is reported") {
  // Both `seed` (depth 1) and an element of `counts` (depth 2) are wrong.
  CHECK(refusal(with(R"("seed": "x", "counts": [8, 65])")) == "s.json: /counts/1: found 65, accepted: more than 0, at most 64");
}

TEST_CASE("values outside a limit, a pattern or a list are refused with what is accepted") {
  CHECK(refusal(with(R"("seed": -1)")) == "s.json: /seed: found -1, accepted: at least 0");
  CHECK(refusal(with(R"("rental": "1.69")")) == "s.json: /rental: found '1.69', accepted: text such as '1.69 USD/h'");
  CHECK(refusal(with(R"("counts": [])")) == "s.json: /counts: found 0 elements, accepted: at least 1");
  CHECK(refusal(R"({"name": "", "arrivals": {"process": "closed", "concurrency": 1}})") == "s.json: /name: found empty text");
  CHECK(refusal(R"({"name": "n", "arrivals": {"process": "poisson", "rate": 8}})") ==
        "s.json: /arrivals/rate: found 8, accepted: a string, such as '8 /s'");
}

TEST_CASE("a reference to another schema file is followed, and so are that file's own references") {
  CHECK(refusal(with(R"("precision": "fp9")")) == "s.json: /precision: found 'fp9' (did you mean 'fp8'?), accepted: 'fp8', 'bf16'");
}

TEST_CASE("a text too long to match patterns against is refused") {
  CHECK(refusal(with("\"rental\": \"" + std::string(100'000, '1') + "\"")) == "s.json: /rental: text longer than 16384 bytes");
}

TEST_CASE("what the wording does not know is still refused, in the validator's words") {
  const TemporaryFolder folder;
  const auto schema = folder.write("s.schema.json", R"({"properties": {"n": {"multipleOf": 4}}})");
  CHECK(complaint_of([&] { moeplan::parse_json(R"({"n": 8})", "s.json", schema); }).empty());
  CHECK(complaint_of([&] { moeplan::parse_json(R"({"n": 6})", "s.json", schema); }) == "s.json: /n: Value should be a multiple of 4");
}

TEST_CASE("a broken schema is refused by its own name") {
  const TemporaryFolder folder;
  const auto schema = folder.write("s.schema.json", R"({"type": 5})");
  CHECK(complaint_of([&] { moeplan::parse_json("{}", "s.json", schema); }).starts_with(schema.string() + ": is not a usable JSON Schema: "));
}
