// The `uncertainty` object of a scenario: how many samples, and the ranges in which the future workload and routing lie.
#pragma once

#include <array>
#include <optional>

namespace moeplan {

class JsonReader;

/// Least and most, equally likely between.
using Range = std::array<double, 2>;

struct UncertaintySpec {
  int samples = 32;
  double level = 0.8;
  std::optional<Range> rate;                  ///< requests per second, of poisson and gamma arrivals
  std::optional<Range> load_factor;           ///< on the rate, the concurrency or the speed of the trace
  std::optional<Range> prompt_tokens_factor;  ///< on every prompt
  std::optional<Range> output_tokens_factor;
  std::optional<Range> routing_sigma;         ///< of a lognormal popularity
};

/// Reads the object. Throws InputError for a range that runs backwards, a factor or a rate that is not positive, and a load stated twice.
UncertaintySpec parse_uncertainty(const JsonReader& reader);

}  // namespace moeplan
