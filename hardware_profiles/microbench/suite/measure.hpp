// How one case is timed, and how a run goes through all of them.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>

#include "suite/backend.hpp"

namespace moeplan::bench {

struct MeasureLimits {
  double seconds = 0.2;       ///< for one row, warm-up included; a row always gets `fewest` samples
  double target_ci = 0.02;    ///< stop once the 95 % interval of the median is this narrow, as a share of it
  int fewest = 7, most = 1000;
  double shortest_sample = 20e-6;
};

/// Warm-up, then samples until the interval is narrow enough or the time is spent.
Summary measure(Work& work, const MeasureLimits& limits);

struct RunPlan {
  std::vector<Case> cases;
  std::filesystem::path folder;
  double seconds = 120;      ///< for the whole run: what a row may take follows from it
  bool show_progress = false;  ///< lines on stderr that overwrite each other
};

struct RunOutcome {
  int measured = 0, already_there = 0, unsteady = 0;
  std::map<std::string, int> skipped;  ///< reason -> cases
  bool stopped = false;
};

/// Measures what the folder does not hold yet. Stops after the current case once `stop` is set.
RunOutcome run(Backend& backend, const RunPlan& plan, const std::atomic<bool>& stop);

/// "3 min 20 s".
std::string duration_text(double seconds);

}  // namespace moeplan::bench
