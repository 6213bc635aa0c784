// One measured run, repeated in simulation.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "study/data_root.hpp"
#include "study/deployment.hpp"
#include "study/measured_run.hpp"
#include "study/run_evidence.hpp"

namespace moeplan {

/// Predicted means by RunMetric, in the units of the measured columns; empty where a run has no such metric.
using RunOutcome = std::array<std::optional<double>, kRunMetrics.size()>;

/// The deployment that a run states, with the engine's defaults of its version for what it leaves open. Throws InputError with the reason of a
/// refusal: unknown id, architecture or layout not expressible, precision not supported by engine or GPU.
DeploymentConfig run_deployment(const MeasuredRun& run, const DataRoot& data);

/// Simulates the run's load on `deployment` and fills `evidence`, unless null. REQUIRES: it fits.
RunOutcome simulate_run(const MeasuredRun& run, const Deployment& deployment, std::uint64_t seed, RunEvidence* evidence = nullptr);

}  // namespace moeplan
