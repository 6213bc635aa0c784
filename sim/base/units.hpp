// Physical quantities as distinct types, so that bytes cannot be added to FLOPs or GB/s read as GiB/s.
//
// Bytes are exact 64-bit integers; rates, FLOPs and seconds are doubles in SI base units. 1 GB = 1e9 bytes, 1 GiB = 2^30.
// Simulated time is integer nanoseconds (SimTime); formulas use Seconds, and to_sim_time is the only crossing (it rounds up).
#pragma once

#include <chrono>
#include <cmath>
#include <compare>
#include <cstdint>
#include <limits>

namespace moeplan {

/// A number of type `Rep` that only mixes with quantities of the same `Tag`.
template <class Tag, class Rep>
class Quantity {
 public:
  constexpr Quantity() = default;
  constexpr explicit Quantity(Rep value) : value_(value) {}

  [[nodiscard]] constexpr Rep value() const { return value_; }
  [[nodiscard]] constexpr double as_double() const { return static_cast<double>(value_); }

  constexpr auto operator<=>(const Quantity&) const = default;
  constexpr Quantity& operator+=(Quantity other) { value_ += other.value_; return *this; }
  constexpr Quantity& operator-=(Quantity other) { value_ -= other.value_; return *this; }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return Quantity(a.value_ + b.value_); }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return Quantity(a.value_ - b.value_); }
  friend constexpr Quantity operator-(Quantity a) { return Quantity(-a.value_); }
  friend constexpr Quantity operator*(Quantity a, Rep s) { return Quantity(a.value_ * s); }
  friend constexpr Quantity operator*(Rep s, Quantity a) { return Quantity(a.value_ * s); }
  friend constexpr Quantity operator/(Quantity a, Rep s) { return Quantity(a.value_ / s); }
  /// Ratio of two like quantities, a plain number.
  friend constexpr double operator/(Quantity a, Quantity b) { return static_cast<double>(a.value_) / static_cast<double>(b.value_); }

 private:
  Rep value_{};
};

using Bytes = Quantity<struct BytesTag, std::int64_t>;
using Flops = Quantity<struct FlopsTag, double>;
using Seconds = Quantity<struct SecondsTag, double>;
using BytesPerSecond = Quantity<struct BytesPerSecondTag, double>;
using FlopsPerSecond = Quantity<struct FlopsPerSecondTag, double>;

constexpr Seconds operator/(Bytes work, BytesPerSecond rate) { return Seconds(work.as_double() / rate.value()); }
constexpr Seconds operator/(Flops work, FlopsPerSecond rate) { return Seconds(work.value() / rate.value()); }

/// Simulated time since the start of a run.
using SimTime = std::chrono::duration<std::int64_t, std::nano>;

/// The last representable instant: "never".
inline constexpr SimTime kNever{std::numeric_limits<std::int64_t>::max()};

/// Seconds to simulated time, rounded up to the next nanosecond. Precondition: finite and non-negative.
inline SimTime to_sim_time(Seconds s) { return SimTime(static_cast<std::int64_t>(std::ceil(s.value() * 1e9))); }

/// Simulated time to seconds.
constexpr Seconds to_seconds(SimTime t) { return Seconds(static_cast<double>(t.count()) * 1e-9); }

namespace literals {
constexpr Bytes operator""_B(unsigned long long v) { return Bytes(static_cast<std::int64_t>(v)); }
constexpr Bytes operator""_GB(unsigned long long v) { return Bytes(static_cast<std::int64_t>(v) * 1'000'000'000); }
constexpr Bytes operator""_GiB(unsigned long long v) { return Bytes(static_cast<std::int64_t>(v) << 30); }
constexpr Bytes operator""_MiB(unsigned long long v) { return Bytes(static_cast<std::int64_t>(v) << 20); }
constexpr Seconds operator""_s(long double v) { return Seconds(static_cast<double>(v)); }
constexpr Seconds operator""_ms(long double v) { return Seconds(static_cast<double>(v) * 1e-3); }
constexpr Seconds operator""_us(long double v) { return Seconds(static_cast<double>(v) * 1e-6); }
}  // namespace literals

}  // namespace moeplan
