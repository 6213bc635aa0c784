#include "input/json_reader.hpp"

#include <doctest/doctest.h>

#include "support/input_error.hpp"

using namespace moeplan;
using test::complaint_of;

namespace {
JsonDocument document(const std::string& text) { return parse_json(text, "s.json"); }
}  // namespace

TEST_CASE("values are read by key and defaults stand in for absent and null keys") {
  const JsonDocument d = document(R"({"n": 3, "x": 0.5, "t": "abc", "on": true, "list": ["a", "b"], "none": null, "p": "fp8_block"})");
  const JsonReader r(d);
  CHECK(r.integer("n") == 3);
  CHECK(r.number("n") == 3.0);
  CHECK(r.number("x") == 0.5);
  CHECK(r.string("t") == "abc");
  CHECK(r.boolean("on", false));
  CHECK(r.strings("list") == std::vector<std::string>{"a", "b"});
  CHECK(r.precision("p") == Precision::kFp8Block);
  CHECK_FALSE(r.has("none"));
  CHECK(r.integer("none", 7) == 7);
  CHECK(r.number("absent", 2.5) == 2.5);
  CHECK(r.string("absent", "z") == "z");
  CHECK(r.boolean("absent", true));
  CHECK(r.strings("absent").empty());
  CHECK(r.precision("absent", Precision::kBf16) == Precision::kBf16);
}

TEST_CASE("a default does not hide a value of the wrong kind") {
  const JsonDocument d = document(R"({"n": "3"})");
  CHECK(complaint_of([&] { static_cast<void>(JsonReader(d).integer("n", 7)); }) == "s.json: /n: found '3', accepted: an integer");
}

TEST_CASE("a refusal names the pointer, with RFC 6901 escapes, through objects and arrays") {
  const JsonDocument d = document(R"({"a/b": [{"c~d": 1}]})");
  const auto elements = JsonReader(d).at("a/b").elements();
  REQUIRE(elements.size() == 1);
  CHECK(elements[0].at("c~d").where() == "s.json: /a~1b/0/c~0d");
  CHECK(complaint_of([&] { static_cast<void>(elements[0].string("c~d")); }) == "s.json: /a~1b/0/c~0d: found 1, accepted: a string");
  CHECK(JsonReader(d).where() == "s.json");
}

TEST_CASE("a missing key is named, with a near one that is there") {
  const JsonDocument d = document(R"({"layer": 32})");
  CHECK(complaint_of([&] { static_cast<void>(JsonReader(d).integer("layers")); }) == "s.json: missing key 'layers' (did you mean 'layer'?)");
}

TEST_CASE("whole numbers count as integers and others do not") {
  const JsonDocument d = document(R"({"e": 1e6, "half": 0.5, "big": 9223372036854775808, "huge": 1e300, "min": -9223372036854775808})");
  const JsonReader r(d);
  CHECK(r.integer("e") == 1'000'000);
  CHECK(r.integer("min") == std::numeric_limits<std::int64_t>::min());
  for (const char* key : {"half", "big", "huge"}) CHECK_THROWS_AS(static_cast<void>(r.integer(key)), InputError);
}

TEST_CASE("an unknown precision is refused with the nearest one") {
  const JsonDocument d = document(R"({"p": "fp9"})");
  CHECK(complaint_of([&] { static_cast<void>(JsonReader(d).precision("p")); }).find("unknown precision 'fp9' (did you mean 'fp8'") != std::string::npos);
}

TEST_CASE("text with a unit is read in SI units and a bare number is refused") {
  const JsonDocument d = document(R"({"m": "80 GB", "b": "3.35 TB/s", "f": "989 TFLOPS", "t": "50 ms", "r": "480 /min", "w": "700 W", "bare": 80})");
  const JsonReader r(d);
  CHECK(r.bytes("m").value() == 80'000'000'000);
  CHECK(r.bandwidth("b").value() == doctest::Approx(3.35e12));
  CHECK(r.flops_rate("f").value() == doctest::Approx(989e12));
  CHECK(r.duration("t").value() == doctest::Approx(0.05));
  CHECK(r.rate_per_second("r") == doctest::Approx(8.0));
  CHECK(r.watts("w") == 700.0);
  CHECK(complaint_of([&] { static_cast<void>(r.bytes("bare")); }) == "s.json: /bare: found 80 without a unit, accepted: text with a unit, such as '80 GB'");
}

TEST_CASE("asking a list for members or a text for keys is refused, not a crash") {
  const JsonDocument d = document(R"({"list": [1], "text": "x"})");
  const JsonReader r(d);
  CHECK_THROWS_AS(static_cast<void>(r.at("list").members()), InputError);
  CHECK_THROWS_AS(static_cast<void>(r.at("text").at("k")), InputError);
  CHECK_THROWS_AS(static_cast<void>(r.at("text").elements()), InputError);
  CHECK_FALSE(r.at("text").has("k"));
}

TEST_CASE("a refusal is one printable line whatever the caller quotes") {
  const JsonDocument d = document("{}");
  CHECK(complaint_of([&] { JsonReader(d).fail("found 'a\nb\x01\xFF'"); }) == "s.json: found 'a?b?" "?'");
}
