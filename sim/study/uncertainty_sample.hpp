// One simulation of an assessment (uncertainty.hpp): its metrics, its verdict, how near that was.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "study/result.hpp"

namespace moeplan {

struct DrawnRun {
  std::map<std::string, double> metrics;  ///< "ttft.p99" (seconds), ...; empty where the deployment does not fit
  bool met = false;
  bool beyond_offer = false;
  std::vector<double> strain;  ///< by objective, those of classes last: logarithm of how many times its bound it came to; above 0: missed
};

DrawnRun sample_of(const Result& result);

/// As the journal keeps it.
std::string text_of(const DrawnRun& sample);
/// Throws nlohmann::json::exception for what text_of has not written.
DrawnRun sample_from(const std::string& text);

/// Times to first token, and what contains them, under a factor that the simulation does not know.
void stretch_first_token(Result& result, double factor);

/// Whether a throughput objective asks for more than arrives.
bool asks_beyond_offer(const Scenario& scenario);

}  // namespace moeplan
