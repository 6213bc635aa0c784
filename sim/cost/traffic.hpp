// What collectives put on the links, per GPU, and the part of their time that is the network's.
#pragma once

#include "calibration/kernel_shapes.hpp"

namespace moeplan {

struct Traffic {
  double scale_up_bytes = 0;     ///< a GPU sends over its links inside the node
  double scale_out_bytes = 0;    ///< a GPU sends to other nodes
  double scale_out_seconds = 0;  ///< time during which the cards are what is waited for: what others on the same links stretch

  void add(const Traffic& t, double weight) {
    scale_up_bytes += t.scale_up_bytes * weight;
    scale_out_bytes += t.scale_out_bytes * weight;
    scale_out_seconds += t.scale_out_seconds * weight;
  }
};

/// Time of a collective with its traffic.
struct CommTime : KernelTime {
  Traffic traffic{};

  /// The same bytes in `times` the time.
  [[nodiscard]] CommTime stretched(double times) const {
    CommTime out = *this;
    out.seconds *= times;
    out.traffic.scale_out_seconds *= times;
    return out;
  }
};

inline CommTime operator+(CommTime a, const CommTime& b) {
  a.seconds += b.seconds;
  if (b.origin > a.origin) a.origin = b.origin;
  a.traffic.add(b.traffic, 1.0);
  return a;
}

}  // namespace moeplan
