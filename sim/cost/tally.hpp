// Seconds of a step added up by part and by where they come from.
#pragma once

#include <algorithm>
#include <array>

#include "calibration/kernel_shapes.hpp"
#include "cost/step_shape.hpp"

namespace moeplan {

struct Tally {
  std::array<double, kStepParts> parts{};
  std::array<double, kOrigins> origins{};

  void add(StepPart part, KernelTime time, double times = 1.0) {
    parts[static_cast<std::size_t>(part)] += time.seconds * times;
    origins[static_cast<std::size_t>(time.origin)] += time.seconds * times;
  }
  void add(const Tally& other, double weight) {
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i] += other.parts[i] * weight;
    for (std::size_t i = 0; i < origins.size(); ++i) origins[i] += other.origins[i] * weight;
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
