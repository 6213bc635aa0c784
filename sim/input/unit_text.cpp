#include "input/unit_text.hpp"

#include <charconv>
#include <cmath>
#include <span>
#include <string>

#include "base/error.hpp"
#include "input/printable.hpp"

namespace moeplan {
namespace {

struct Unit {
  std::string_view name;
  double factor;  // to the SI base unit
};

// Units that are refused because they could mean two things, with the way to say it.
struct Ambiguity {
  std::string_view name;
  std::string_view advice;
};

struct Dimension {
  std::string_view example;
  std::span<const Unit> units;
  std::span<const Ambiguity> ambiguities;
};

constexpr double kKi = 1024.0;

constexpr Unit kByteUnits[] = {{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"PB", 1e15},
                               {"KiB", kKi}, {"MiB", kKi * kKi}, {"GiB", kKi * kKi * kKi}, {"TiB", kKi * kKi * kKi * kKi}};
constexpr Ambiguity kByteAmbiguities[] = {
    {"K", "kB (1000 bytes) or KiB (1024 bytes)"}, {"k", "kB (1000 bytes) or KiB (1024 bytes)"}, {"KB", "kB (1000 bytes) or KiB (1024 bytes)"},
    {"M", "MB (1e6 bytes) or MiB (2^20 bytes)"},  {"G", "GB (1e9 bytes) or GiB (2^30 bytes)"},  {"T", "TB (1e12 bytes) or TiB (2^40 bytes)"},
    {"Gb", "GB (1e9 bytes) or GiB (2^30 bytes)"}, {"Mb", "MB (1e6 bytes) or MiB (2^20 bytes)"}, {"gb", "GB (1e9 bytes) or GiB (2^30 bytes)"}};

constexpr Unit kBandwidthUnits[] = {{"B/s", 1}, {"kB/s", 1e3}, {"MB/s", 1e6}, {"GB/s", 1e9}, {"TB/s", 1e12}, {"PB/s", 1e15},
                                    {"KiB/s", kKi}, {"MiB/s", kKi * kKi}, {"GiB/s", kKi * kKi * kKi}, {"TiB/s", kKi * kKi * kKi * kKi},
                                    {"kbit/s", 1e3 / 8}, {"Mbit/s", 1e6 / 8}, {"Gbit/s", 1e9 / 8}, {"Tbit/s", 1e12 / 8}};
constexpr Ambiguity kBandwidthAmbiguities[] = {
    {"Gb/s", "Gbit/s (bits) or GB/s (bytes)"}, {"Gbps", "Gbit/s (bits) or GB/s (bytes)"}, {"GBps", "Gbit/s (bits) or GB/s (bytes)"},
    {"Tb/s", "Tbit/s (bits) or TB/s (bytes)"}, {"Tbps", "Tbit/s (bits) or TB/s (bytes)"}, {"Mb/s", "Mbit/s (bits) or MB/s (bytes)"},
    {"Mbps", "Mbit/s (bits) or MB/s (bytes)"}, {"G/s", "Gbit/s (bits) or GB/s (bytes)"},  {"KB/s", "kB/s (1000 bytes/s) or KiB/s (1024 bytes/s)"}};

constexpr Unit kFlopsUnits[] = {{"FLOPS", 1}, {"GFLOPS", 1e9}, {"TFLOPS", 1e12}, {"PFLOPS", 1e15}, {"FLOP/s", 1}, {"GFLOP/s", 1e9},
                                {"TFLOP/s", 1e12}, {"PFLOP/s", 1e15}, {"TOPS", 1e12}, {"POPS", 1e15}};
constexpr Ambiguity kFlopsAmbiguities[] = {{"GFLOP", "GFLOPS (a rate)"}, {"TFLOP", "TFLOPS (a rate)"}, {"PFLOP", "PFLOPS (a rate)"}, {"TFLOPs", "TFLOPS (a rate)"}};

constexpr Unit kTimeUnits[] = {{"ns", 1e-9}, {"us", 1e-6}, {"\xC2\xB5s", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"min", 60}, {"h", 3600}};
constexpr Ambiguity kTimeAmbiguities[] = {{"m", "min (minutes) or ms (milliseconds)"}, {"M", "min (minutes) or ms (milliseconds)"}};

constexpr Unit kRateUnits[] = {{"/s", 1}, {"/min", 1.0 / 60}, {"/h", 1.0 / 3600}};
constexpr Ambiguity kRateAmbiguities[] = {{"/m", "/min (per minute) or /s"}};

constexpr Unit kWattUnits[] = {{"W", 1}, {"kW", 1e3}, {"MW", 1e6}};
constexpr Unit kMoneyPerHourUnits[] = {{"USD/h", 1}, {"USD/month", 12.0 / 8766}, {"USD/year", 1.0 / 8766}};
constexpr Unit kMoneyUnits[] = {{"USD", 1}};
constexpr Unit kEnergyPriceUnits[] = {{"USD/kWh", 1}, {"USD/MWh", 1e-3}};

constexpr Unit kTokenPriceUnits[] = {{"USD/Mtok", 1}, {"USD/ktok", 1e3}};
constexpr Ambiguity kTokenPriceAmbiguities[] = {{"USD", "USD/Mtok (per million tokens) or USD/ktok"}, {"USD/tok", "USD/Mtok (per million tokens) or USD/ktok"}};

constexpr Dimension kBytes = {"80 GB", kByteUnits, kByteAmbiguities};
constexpr Dimension kBandwidth = {"3.35 TB/s", kBandwidthUnits, kBandwidthAmbiguities};
constexpr Dimension kFlopsRate = {"989 TFLOPS", kFlopsUnits, kFlopsAmbiguities};
constexpr Dimension kDuration = {"50 ms", kTimeUnits, kTimeAmbiguities};
constexpr Dimension kRate = {"8 /s", kRateUnits, kRateAmbiguities};
constexpr Dimension kPower = {"700 W", kWattUnits, {}};
constexpr Dimension kMoneyPerHour = {"1.69 USD/h", kMoneyPerHourUnits, {}};
constexpr Dimension kMoney = {"250000 USD", kMoneyUnits, {}};
constexpr Dimension kEnergyPrice = {"0.12 USD/kWh", kEnergyPriceUnits, {}};
constexpr Dimension kTokenPrice = {"0.60 USD/Mtok", kTokenPriceUnits, kTokenPriceAmbiguities};

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

[[noreturn]] void refuse(std::string_view text, std::string_view where, std::string_view why, const Dimension& dimension) {
  std::string units;
  for (const Unit& unit : dimension.units) units += (units.empty() ? "" : ", ") + std::string(unit.name);
  throw InputError(where, "found " + in_quotes(text) + std::string(why) + ", accepted: a number and one of " + units + ", such as '" +
                              std::string(dimension.example) + "'");
}

// The number in the dimension's base unit.
double parse(std::string_view text, std::string_view where, const Dimension& dimension) {
  const std::string_view body = trimmed(text);
  double number = 0;
  const auto [rest, error] = std::from_chars(body.data(), body.data() + body.size(), number);
  if (error == std::errc::invalid_argument) refuse(text, where, " (no number)", dimension);
  if (error != std::errc() || !std::isfinite(number)) refuse(text, where, " (not a finite number)", dimension);
  if (std::signbit(number)) refuse(text, where, " (negative)", dimension);
  const std::string_view name = trimmed(body.substr(static_cast<std::size_t>(rest - body.data())));
  if (name.empty()) refuse(text, where, " (no unit)", dimension);
  for (const Unit& unit : dimension.units) {
    if (unit.name != name) continue;
    const double value = number * unit.factor;
    if (!std::isfinite(value)) refuse(text, where, " (too large)", dimension);
    return value;
  }
  for (const Ambiguity& ambiguity : dimension.ambiguities) {
    if (ambiguity.name == name) throw InputError(where, "found " + in_quotes(text) + ", which could mean two things, accepted: " + std::string(ambiguity.advice));
  }
  refuse(text, where, " (unknown unit " + in_quotes(name) + ")", dimension);
}

}  // namespace

Bytes parse_bytes(std::string_view text, std::string_view where) {
  const double value = parse(text, where, kBytes);
  if (value >= 0x1.0p63) refuse(text, where, " (too large)", kBytes);
  return Bytes(std::llround(value));
}
BytesPerSecond parse_bandwidth(std::string_view text, std::string_view where) { return BytesPerSecond(parse(text, where, kBandwidth)); }
FlopsPerSecond parse_flops_rate(std::string_view text, std::string_view where) { return FlopsPerSecond(parse(text, where, kFlopsRate)); }
Seconds parse_duration(std::string_view text, std::string_view where) { return Seconds(parse(text, where, kDuration)); }
double parse_rate(std::string_view text, std::string_view where) { return parse(text, where, kRate); }
double parse_watts(std::string_view text, std::string_view where) { return parse(text, where, kPower); }
double parse_money_per_hour(std::string_view text, std::string_view where) { return parse(text, where, kMoneyPerHour); }
double parse_money(std::string_view text, std::string_view where) { return parse(text, where, kMoney); }
double parse_energy_price(std::string_view text, std::string_view where) { return parse(text, where, kEnergyPrice); }
double parse_token_price(std::string_view text, std::string_view where) { return parse(text, where, kTokenPrice); }

}  // namespace moeplan
