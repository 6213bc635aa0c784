// The inputs of a scenario that are not known exactly, how each is distributed, and the scenario that a draw of all of them makes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "calibration/kernel_library.hpp"
#include "calibration/operation_errors.hpp"
#include "study/error_model.hpp"
#include "study/scenario.hpp"

namespace moeplan {

enum class InputKind : std::uint8_t {
  kStep,           ///< factor on all kernel times
  kGemm,           ///< factors on the kernel times of one operation
  kExperts,
  kAttention,
  kCommunication,
  kHost,           ///< seconds added to the host time of a step
  kRequestPath,    ///< factor on the engine's request latency
  kFirstToken,     ///< factor on the time to first token
  kRate,           ///< requests per second
  kLoad,           ///< factor on the load
  kPrompts,        ///< factor on prompt lengths
  kOutputs,        ///< factor on output lengths
  kRoutingSigma,
};

/// `spread` is the standard deviation of a normal (of the logarithm of a factor), or unused where `low` and `high` bound a uniform one.
struct InputDistribution {
  InputKind kind = InputKind::kStep;
  std::string name, group, source;
  bool uniform = false;
  double spread = 0;
  double low = 1, high = 1;

  /// The value below which the input lies with probability `u`, 0 < u < 1.
  [[nodiscard]] double at(double u) const;
  /// How far from the middle `u` lies, on the scale on which inputs are drawn: -1 and 1 bound the middle `level`.
  [[nodiscard]] double offset(double u, double level) const;
};

/// What makes the widths of one deployment: its kernels' errors, and the share of its kernel time that rests on weak kernels.
struct DeploymentErrors {
  OperationErrors operations;
  double weak_share = 0;
};
DeploymentErrors deployment_errors(const DeploymentConfig& config, KernelLibrary& kernels, const std::array<double, kOrigins>& origin_share);

/// The inputs of `scenario`, each with a width above zero. Throws InputError for a stated range that the scenario cannot take.
std::vector<InputDistribution> uncertain_inputs(const Scenario& scenario, const ErrorModel& errors, const DeploymentErrors& deployment);

/// [sample][input]: every input's distribution cut into as many strata of equal probability as there are samples, each met once (McKay, Beckman
/// and Conover 1979). An input's draws depend on its name, the number of samples and the seed alone.
std::vector<std::vector<double>> latin_hypercube(const std::vector<InputDistribution>& inputs, std::size_t samples, std::uint64_t seed);
/// The same before the distributions: shares of probability in (0, 1). Another `purpose` gives other draws.
std::vector<std::vector<double>> latin_hypercube_shares(const std::vector<InputDistribution>& inputs, std::size_t samples, std::uint64_t seed, const std::string& purpose);
/// What lies at such shares, by input.
std::vector<double> values_at(const std::vector<InputDistribution>& inputs, const std::vector<double>& shares);

/// `scenario` with the values of `inputs` (in their order), and the factor on its times to first token.
struct DrawnScenario {
  Scenario scenario;
  double first_token_factor = 1;
};
DrawnScenario draw_scenario(const Scenario& scenario, const std::vector<InputDistribution>& inputs, const std::vector<double>& values);

}  // namespace moeplan
