#include "study/comparison.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>

#include "base/error.hpp"
#include "study/compare_differences.hpp"
#include "study/compare_effects.hpp"
#include "study/compare_input.hpp"
#include "study/compare_rows.hpp"
#include "study/compare_sensitivity.hpp"
#include "study/compare_verdict.hpp"

namespace moeplan {

namespace {

std::uint64_t common_seed(const std::vector<CompareInput>& inputs) {
  const auto first = std::find_if(inputs.begin(), inputs.end(), [](const CompareInput& i) { return i.scenario.has_value(); });
  if (first == inputs.end()) throw InputError("compare", "none of the inputs can be run: " + inputs.front().why_not);
  return first->scenario->seed;
}

std::vector<ComparedRun> run_all(const std::vector<CompareInput>& inputs, std::uint64_t seed, const DataRoot& data, StudyLibraries& shared,
                                 const std::function<void(double)>& progress) {
  std::vector<ComparedRun> runs(inputs.size());
  std::atomic<int> done{0};
  tbb::parallel_for(std::size_t{0}, inputs.size(), [&](std::size_t i) {
    runs[i] = run_compared(inputs[i], seed, data, shared);
    if (progress) progress(static_cast<double>(++done) / static_cast<double>(inputs.size() + 1));
  });
  return runs;
}

bool equal_workloads(const std::vector<CompareInput>& inputs) {
  return std::all_of(inputs.begin(), inputs.end(), [&](const CompareInput& i) {
    return i.resolved.value("workload", nlohmann::json()) == inputs.front().resolved.value("workload", nlohmann::json());
  });
}

/// Of everything together, and as simulated now: curves for every single change would take as long as all the rest.
void add_capacity(Comparison& c) {
  const std::optional<double> before = c.rows[0].capacity_per_s, after = c.rows[1].capacity_per_s;
  if (!c.effects.empty() && before.value_or(0) > 0 && after) c.effects.back().change["capacity_per_s"] = *after / *before - 1;
}

}  // namespace

Comparison compare(const std::vector<CompareInput>& inputs, const DataRoot& data, const DataRoot* old_data,
                   const std::function<void(double)>& progress) {
  const std::uint64_t seed = common_seed(inputs);
  StudyLibraries shared;
  std::vector<ComparedRun> runs = run_all(inputs, seed, data, shared, progress);
  Comparison c;
  c.same_workload = equal_workloads(inputs);
  c.load_per_s = runs.front().row.offered_per_s;
  c.sensitivity = sensitivities(runs, shared);
  for (ComparedRun& run : runs) {
    price_load(c.load_per_s, run);
    c.rows.push_back(run.row);
    c.load_curves.push_back(run.curve);
    c.notes.insert(c.notes.end(), run.notes.begin(), run.notes.end());
  }
  c.crossings = crossings(runs, c.sensitivity);
  c.differences = find_differences(inputs);
  if (inputs.size() == 2) {
    c.effects = find_effects(inputs, data, old_data, shared);
    add_capacity(c);
  }
  write_verdict(c);
  ComparedRun& first = *std::find_if(runs.begin(), runs.end(), [](const ComparedRun& run) { return run.result.has_value(); });
  c.first = std::move(*first.result);
  c.first.load_curve = first.curve;
  if (c.first.cost && first.curve && first.curve->capacity_per_s > 0) know_largest_load({first.curve->capacity_per_s}, *c.first.cost);
  c.first_scenario = std::move(*first.scenario);
  return c;
}

}  // namespace moeplan
