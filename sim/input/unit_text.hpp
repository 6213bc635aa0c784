// Numbers with units as people write them. Text without a unit, or with one that could mean two things (a bare "G", "Gb/s" as bytes, "m"),
// is an error. GB = 1e9, GiB = 2^30; network rates may be given in bits ("400 Gbit/s").
#pragma once

#include <string_view>

#include "base/units.hpp"

namespace moeplan {

/// Each throws InputError(where, ...) naming what was found and what is accepted. Negative, NaN and infinite values are refused.
Bytes parse_bytes(std::string_view text, std::string_view where);                    ///< "80 GB", "24 GiB"
BytesPerSecond parse_bandwidth(std::string_view text, std::string_view where);       ///< "3.35 TB/s", "400 Gbit/s"
FlopsPerSecond parse_flops_rate(std::string_view text, std::string_view where);      ///< "989 TFLOPS", "2 PFLOPS"
Seconds parse_duration(std::string_view text, std::string_view where);               ///< "2 s", "50 ms", "12 us", "3 min", "1 h"
double parse_rate(std::string_view text, std::string_view where);                    ///< "8 /s", "480 /min", "2 /h"; per second
double parse_watts(std::string_view text, std::string_view where);                   ///< "700 W", "10.2 kW"
double parse_money_per_hour(std::string_view text, std::string_view where);          ///< "1.69 USD/h", "900 USD/month" (a year has 8,766 h)
double parse_money(std::string_view text, std::string_view where);                   ///< "250000 USD"
double parse_energy_price(std::string_view text, std::string_view where);            ///< "0.12 USD/kWh"
double parse_token_price(std::string_view text, std::string_view where);             ///< "0.60 USD/Mtok"; USD per million tokens

}  // namespace moeplan
