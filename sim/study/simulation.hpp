// A resolved scenario run to its result: a function without shared mutable state, which sweeps call from many threads.
#pragma once

#include <filesystem>
#include <functional>

#include "study/result.hpp"
#include "study/time_limit.hpp"

namespace moeplan {

/// Keeps a timeline near 10 MB.
inline constexpr std::uint64_t kTraceLimit = 10'000;

struct RunOptions {
  int replications = 1;                          ///< runs with seeds seed, seed + 1, ...
  int jobs = 0;                                  ///< threads over replications; 0 = all
  std::filesystem::path requests_file;           ///< request log of the first run; empty: none. Further deployments have files of their own (file_of_deployment)
  std::filesystem::path trace_file;              ///< timeline of the first run; empty: none
  std::uint64_t trace_limit = kTraceLimit;       ///< steps and requests kept in it
  bool exact_routing = false;
  StudyLibraries* shared = nullptr;               ///< to share kernel times and routing with other runs; null: own. The result is the same
  std::function<void(double)> progress;          ///< share done; may come from any thread
  TimeIsOver out_of_time;                         ///< a run then ends with OutOfTime
};

/// Simulates. A model that does not fit gives a result without latencies. The same scenario and options give the same result on any number of
/// threads.
Result run_scenario(const Scenario& scenario, const RunOptions& options);

/// The same on a deployment that was built for `scenario.deployment`, which several runs may share. REQUIRES: it fits.
Result run_on(const Scenario& scenario, const Deployment& deployment, const RunOptions& options);

/// Runs the scenario and, beside it, samples of what is uncertain (uncertainty.hpp): the result with their intervals. `samples` 0: as many as the
/// scenario states.
Result run_with_uncertainty(const Scenario& scenario, const ErrorModel& errors, const RunOptions& options, int samples);

/// The request log or timeline of scenario.others[other], beside the first deployment's: FILE.2-NAME.csv. Empty where there is none, or where `first` is no
/// regular file.
std::filesystem::path file_of_deployment(const std::filesystem::path& first, const Scenario& scenario, std::size_t other);

/// The memory part alone.
Result memory_only(const Scenario& scenario);

}  // namespace moeplan
