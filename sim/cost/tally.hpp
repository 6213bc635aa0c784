// Seconds of a step added up by part and by where they come from.
#pragma once

#include <algorithm>
#include <array>

#include "calibration/kernel_shapes.hpp"
#include "cost/step_shape.hpp"
#include "cost/traffic.hpp"

namespace moeplan {

struct Tally {
  std::array<double, kStepParts> parts{};
  std::array<double, kOrigins> origins{};
  Traffic traffic{};
  double shared_experts = 0;  ///< part of the dense products: what may run while tokens travel

  void add(StepPart part, const KernelTime& time, double times = 1.0) {
    parts[static_cast<std::size_t>(part)] += time.seconds * times;
    origins[static_cast<std::size_t>(time.origin)] += time.seconds * times;
  }
  void add(StepPart part, const CommTime& time, double times = 1.0) {
    add(part, static_cast<const KernelTime&>(time), times);
    traffic.add(time.traffic, times);
  }
  void add(const Tally& other, double weight) {
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i] += other.parts[i] * weight;
    for (std::size_t i = 0; i < origins.size(); ++i) origins[i] += other.origins[i] * weight;
    traffic.add(other.traffic, weight);
    shared_experts += other.shared_experts * weight;
  }
  [[nodiscard]] double total() const {
    double sum = 0;
    for (const double p : parts) sum += p;
    return sum;
  }
};

/// The sum of times has the origin of its weakest summand.
inline KernelTime operator+(KernelTime a, KernelTime b) { return {a.seconds + b.seconds, std::max(a.origin, b.origin)}; }
inline KernelTime operator*(KernelTime a, double times) { return {a.seconds * times, a.origin}; }

}  // namespace moeplan
