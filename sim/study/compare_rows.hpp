// The runs behind a comparison: each input at its own load, alone, and over all loads, on one deployment.
#pragma once

#include <memory>
#include <optional>

#include "study/comparison.hpp"
#include "study/deployment.hpp"

namespace moeplan {

/// What one input was found to do.
struct ComparedRun {
  std::optional<Scenario> scenario;        ///< with the common seed, and a listed price where it states none
  std::unique_ptr<Deployment> deployment;  ///< null where it cannot be run or does not fit
  std::optional<Result> result;            ///< at the scenario's load
  std::optional<LoadCurve> curve;
  MeanLengths lengths;
  ComparedRow row;
  std::vector<std::string> notes;
};

/// Runs one input with `seed`; one that cannot be run gives the figures it was stored with. `shared` outlives the run.
ComparedRun run_compared(const CompareInput& input, std::uint64_t seed, const DataRoot& data, StudyLibraries& shared);

/// Fills the row's figures for carrying `load_per_s` within the objectives (nothing: as loaded by its own workload).
void price_load(std::optional<double> load_per_s, ComparedRun& run);

}  // namespace moeplan
