#include "input/unit_text.hpp"

#include <doctest/doctest.h>

#include "support/input_error.hpp"

using namespace moeplan;
using doctest::Approx;
using test::complaint_of;

TEST_CASE("decimal and binary byte units differ and spaces do not matter") {
  CHECK(parse_bytes("80 GB", "w").value() == 80'000'000'000);
  CHECK(parse_bytes("80GB", "w").value() == 80'000'000'000);
  CHECK(parse_bytes("  24  GiB ", "w").value() == 24LL * 1024 * 1024 * 1024);
  CHECK(parse_bytes("3.35 GB", "w").value() == 3'350'000'000);
  CHECK(parse_bytes("0 B", "w").value() == 0);
  CHECK(parse_bytes("1e3 kB", "w").value() == 1'000'000);
}

TEST_CASE("network rates in bits are an eighth of the same number in bytes") {
  CHECK(parse_bandwidth("400 Gbit/s", "w").value() == Approx(50e9));
  CHECK(parse_bandwidth("3.35 TB/s", "w").value() == Approx(3.35e12));
  CHECK(parse_bandwidth("1 GiB/s", "w").value() == 1073741824.0);
}

TEST_CASE("every other quantity is read in SI units, money in dollars") {
  CHECK(parse_flops_rate("989 TFLOPS", "w").value() == Approx(989e12));
  CHECK(parse_flops_rate("2 PFLOPS", "w").value() == Approx(2e15));
  CHECK(parse_duration("2 s", "w").value() == 2.0);
  CHECK(parse_duration("50 ms", "w").value() == Approx(0.05));
  CHECK(parse_duration("12 us", "w").value() == Approx(12e-6));
  CHECK(parse_duration("3 min", "w").value() == 180.0);
  CHECK(parse_duration("1 h", "w").value() == 3600.0);
  CHECK(parse_rate("8 /s", "w") == 8.0);
  CHECK(parse_rate("480 /min", "w") == Approx(8.0));
  CHECK(parse_rate("7200 /h", "w") == Approx(2.0));
  CHECK(parse_watts("10.2 kW", "w") == Approx(10200.0));
  CHECK(parse_money_per_hour("1.69 USD/h", "w") == 1.69);
  CHECK(parse_money("250000 USD", "w") == 250000.0);
  CHECK(parse_energy_price("0.12 USD/kWh", "w") == 0.12);
  CHECK(parse_energy_price("120 USD/MWh", "w") == Approx(0.12));
  CHECK(parse_money_per_hour("730.5 USD/month", "w") == Approx(1));
  CHECK(parse_money_per_hour("8766 USD/year", "w") == Approx(1));
  CHECK(parse_token_price("0.6 USD/Mtok", "w") == 0.6);
  CHECK(parse_token_price("0.002 USD/ktok", "w") == Approx(2));
}

TEST_CASE("text without a unit or without a number is refused with place, finding and example") {
  CHECK(complaint_of([] { parse_duration("2", "s.json: /t"); }) ==
        "s.json: /t: found '2' (no unit), accepted: a number and one of ns, us, \xC2\xB5s, ms, s, min, h, such as '50 ms'");
  CHECK(complaint_of([] { parse_bytes("GB", "w"); }).find("(no number)") != std::string::npos);
  CHECK(complaint_of([] { parse_bytes("", "w"); }).find("(no number)") != std::string::npos);
  CHECK(complaint_of([] { parse_watts("700 V", "w"); }).find("(unknown unit 'V')") != std::string::npos);
}

TEST_CASE("a unit that could mean two things is refused with both readings") {
  CHECK(complaint_of([] { parse_bytes("80 G", "w"); }) == "w: found '80 G', which could mean two things, accepted: GB (1e9 bytes) or GiB (2^30 bytes)");
  CHECK(complaint_of([] { parse_bandwidth("400 Gb/s", "w"); }).find("Gbit/s (bits) or GB/s (bytes)") != std::string::npos);
  CHECK(complaint_of([] { parse_duration("3 m", "w"); }).find("min (minutes) or ms (milliseconds)") != std::string::npos);
}

TEST_CASE("negative, infinite, not-a-number and too large values are refused") {
  for (const char* text : {"-1 GB", "-0 GB", "inf GB", "nan GB", "1e999 GB", "1e300 GB", "9.3e18 B", "+1 GB", "1,5 GB", "0x10 B", "1 2 GB"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_bytes(text, "w"), InputError);
  }
  CHECK_THROWS_AS(parse_flops_rate("1e300 TFLOPS", "w"), InputError);
}
