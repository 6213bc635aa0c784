// Hand-made requests and steps for the metrics tests.
#pragma once

#include <doctest/doctest.h>

#include "base/random.hpp"
#include "serving/observer.hpp"

namespace moeplan::test {

inline SimTime at(double seconds) { return SimTime(static_cast<std::int64_t>(seconds * 1e9 + 0.5)); }

inline RequestSpec arriving(std::uint64_t id, double arrival, std::int32_t output_tokens = 1) {
  RequestSpec spec;
  spec.id = id;
  spec.arrival = at(arrival);
  spec.prompt_tokens = 100;
  spec.output_tokens = output_tokens;
  return spec;
}

inline FinishedRequest finished(const RequestSpec& spec, double scheduled, double first, double last) {
  FinishedRequest r;
  r.spec = spec;
  r.scheduled = at(scheduled);
  r.first_token = at(first);
  r.last_token = at(last);
  return r;
}

}  // namespace moeplan::test
