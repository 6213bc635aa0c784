#include "study/uncertain_inputs.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/random.hpp"
#include "routing/count_sampler.hpp"
#include "study/first_burst.hpp"

namespace moeplan {

namespace {

constexpr const char* kCalibration = "calibration";
constexpr const char* kWorkload = "workload";
constexpr const char* kRouting = "routing";

bool runs_mla(const ModelSpec& model) {
  return std::any_of(model.layers.begin(), model.layers.end(), [](const LayerGroup& l) { return l.attention.kind == AttentionKind::kMla; });
}

bool additive(InputKind kind) { return kind == InputKind::kHost; }

std::int32_t scaled(std::int32_t tokens, double factor) {
  return static_cast<std::int32_t>(std::clamp(std::round(tokens * factor), 1.0, static_cast<double>(kMaxTokens)));
}

void scale_lengths(LengthConfig& lengths, double factor) {
  lengths.value = scaled(lengths.value, factor);
  lengths.low = scaled(lengths.low, factor);
  lengths.high = scaled(lengths.high, factor);
  lengths.median *= factor;
  for (LengthBin& bin : lengths.bins) bin.tokens = scaled(bin.tokens, factor);
}

bool own_arrivals(const WorkloadConfig& workload) {
  return std::any_of(workload.classes.begin(), workload.classes.end(), [](const WorkloadClass& c) { return c.arrivals.has_value(); });
}

/// Requests (sessions, where there are any) per second of all classes together, which a stated rate means where they arrive by themselves.
double arrivals_per_second(const WorkloadConfig& workload) {
  double sum = 0;
  bool shared = false;
  for (const WorkloadClass& c : workload.classes) {
    if (c.arrivals) sum += mean_rate(*c.arrivals);
    shared = shared || !c.arrivals;
  }
  return shared ? sum + mean_rate(workload.arrivals) : sum;
}

bool traced(const WorkloadConfig& workload, LengthConfig WorkloadClass::*lengths) {
  return std::any_of(workload.classes.begin(), workload.classes.end(), [&](const WorkloadClass& c) { return (c.*lengths).kind == LengthKind::kTrace; });
}

[[noreturn]] void refuse(const Scenario& scenario, const std::string& key, const std::string& why) {
  throw InputError(scenario.file + ": /uncertainty/" + key, why);
}

void check_ranges(const Scenario& scenario, const UncertaintySpec& spec) {
  const ArrivalProcess process = scenario.workload.arrivals.process;
  if (spec.rate && own_arrivals(scenario.workload)) {
    if (!(arrivals_per_second(scenario.workload) > 0)) refuse(scenario, "rate", "no class has arrivals with a rate; state \"load_factor\"");
  } else if (spec.rate && process != ArrivalProcess::kPoisson && process != ArrivalProcess::kGamma) {
    refuse(scenario, "rate", fmt::format("arrivals are '{}', which has no rate; accepted with poisson and gamma, others take \"load_factor\"", to_string(process)));
  }
  if (spec.load_factor && process == ArrivalProcess::kBatch) {
    refuse(scenario, "load_factor", "a batch arrives at once: it has no load to vary");
  }
  const char* facts = "the lengths of a trace are facts; state \"load_factor\", or a distribution of lengths";
  if (spec.prompt_tokens_factor && traced(scenario.workload, &WorkloadClass::prompt_tokens)) refuse(scenario, "prompt_tokens_factor", facts);
  if (spec.output_tokens_factor && traced(scenario.workload, &WorkloadClass::output_tokens)) refuse(scenario, "output_tokens_factor", facts);
  if (spec.routing_sigma && scenario.deployment.model.is_moe() && scenario.deployment.routing.popularity != PopularityKind::kLognormal) {
    refuse(scenario, "routing_sigma", "the popularity of the experts is not lognormal: it has no sigma");
  }
}

void add_stated(const Scenario& scenario, std::vector<InputDistribution>& inputs) {
  if (!scenario.uncertainty) return;
  const UncertaintySpec& spec = *scenario.uncertainty;
  check_ranges(scenario, spec);
  const auto add = [&](const std::optional<Range>& range, InputKind kind, const char* name, const char* group) {
    if (!range || (*range)[0] == (*range)[1]) return;
    inputs.push_back({kind, name, group, "scenario", true, 0, (*range)[0], (*range)[1]});
  };
  add(spec.rate, InputKind::kRate, "request rate, per second", kWorkload);
  add(spec.load_factor, InputKind::kLoad, "load, factor", kWorkload);
  add(spec.prompt_tokens_factor, InputKind::kPrompts, "prompt lengths, factor", kWorkload);
  add(spec.output_tokens_factor, InputKind::kOutputs, "output lengths, factor", kWorkload);
  if (scenario.deployment.model.is_moe()) add(spec.routing_sigma, InputKind::kRoutingSigma, "sigma of the experts' popularity", kRouting);
}

}  // namespace

double InputDistribution::at(double u) const {
  if (uniform) return low + u * (high - low);
  const double shift = spread * normal_quantile(u);
  return additive(kind) ? shift : std::exp(shift);
}

DeploymentErrors deployment_errors(const DeploymentConfig& config, KernelLibrary& kernels, const std::array<double, kOrigins>& origin_share) {
  DeploymentErrors errors;
  for (const Origin weak : {Origin::kExtrapolated, Origin::kTransferred, Origin::kDatasheet}) {
    errors.weak_share += origin_share[static_cast<std::size_t>(weak)];
  }
  if (config.cost_profile.empty()) {
    errors.operations = generic_operation_errors();
    return errors;
  }
  const OperationFormats formats{config.precision.weights, config.precision.experts, config.precision.kv_cache, runs_mla(config.model)};
  errors.operations = operation_errors(kernels.profile(config.cost_profile), config.cluster.gpu, config.engine.kernel_preference,
                                       config.engine.all_reduce, formats);
  return errors;
}

std::vector<InputDistribution> uncertain_inputs(const Scenario& scenario, const ErrorModel& errors, const DeploymentErrors& deployment) {
  const bool moe = scenario.deployment.model.is_moe();
  std::vector<InputDistribution> inputs;
  const auto add = [&](InputKind kind, const char* name, double spread, const std::string& source) {
    if (spread > 0) inputs.push_back({kind, name, kCalibration, source, false, spread, 1, 1});
  };
  const double weak = deployment.weak_share * errors.weak_kernels;
  add(InputKind::kStep, "all kernels, time factor", std::hypot(errors.step(moe), weak), errors.source);
  const std::string fitted = scenario.deployment.cost_profile.empty() ? "generic constants" : "cross-validated errors of the fitted profile";
  add(InputKind::kGemm, "matrix products, time factor", deployment.operations.gemm, fitted);
  if (moe) add(InputKind::kExperts, "experts, time factor", deployment.operations.experts, fitted);
  add(InputKind::kAttention, "attention, time factor", deployment.operations.attention, fitted);
  if (scenario.deployment.layout.gpus() > 1) add(InputKind::kCommunication, "communication, time factor", deployment.operations.communication, fitted);
  add(InputKind::kHost, "host time per step, seconds added", errors.host_per_step_s, errors.source);
  if (scenario.deployment.engine.request_latency.value() > 0) {
    add(InputKind::kRequestPath, "path between client and engine, time factor", errors.request_latency, errors.source);
  }
  add(InputKind::kFirstToken, "time to first token, factor", errors.first_token(moe), errors.source);
  add_stated(scenario, inputs);
  return inputs;
}

double InputDistribution::offset(double u, double level) const { return uniform ? (2 * u - 1) / level : normal_quantile(u) / normal_quantile(0.5 * (1 + level)); }

std::vector<std::vector<double>> latin_hypercube_shares(const std::vector<InputDistribution>& inputs, std::size_t samples, std::uint64_t seed, const std::string& purpose) {
  std::vector<std::vector<double>> design(samples, std::vector<double>(inputs.size()));
  std::vector<std::size_t> strata(samples);
  for (std::size_t j = 0; j < inputs.size(); ++j) {
    RandomStream random(seed, purpose + "/" + inputs[j].name);
    std::iota(strata.begin(), strata.end(), std::size_t{0});
    for (std::size_t i = samples; i > 1; --i) std::swap(strata[i - 1], strata[random.below(static_cast<std::uint32_t>(i))]);
    for (std::size_t i = 0; i < samples; ++i) {
      const double u = (static_cast<double>(strata[i]) + random.uniform()) / static_cast<double>(samples);
      design[i][j] = std::clamp(u, 1e-9, 1 - 1e-9);
    }
  }
  return design;
}

std::vector<double> values_at(const std::vector<InputDistribution>& inputs, const std::vector<double>& shares) {
  std::vector<double> values;
  for (std::size_t j = 0; j < inputs.size(); ++j) values.push_back(inputs[j].at(shares[j]));
  return values;
}

std::vector<std::vector<double>> latin_hypercube(const std::vector<InputDistribution>& inputs, std::size_t samples, std::uint64_t seed) {
  auto design = latin_hypercube_shares(inputs, samples, seed, "uncertainty");
  for (auto& sample : design) sample = values_at(inputs, sample);
  return design;
}

DrawnScenario draw_scenario(const Scenario& scenario, const std::vector<InputDistribution>& inputs, const std::vector<double>& values) {
  MOEPLAN_CHECK(inputs.size() == values.size());
  DrawnScenario drawn{scenario, 1};
  // A pool that prefills runs the same kernels, off by the same factors.
  std::vector<DeploymentConfig*> deployments = {&drawn.scenario.deployment};
  if (drawn.scenario.disaggregation) deployments.push_back(&drawn.scenario.disaggregation->prefill);
  const auto each = [&](auto change) {
    for (DeploymentConfig* d : deployments) change(d->engine);
  };
  WorkloadConfig& workload = drawn.scenario.workload;
  const bool steady = past_first_burst(workload).requests == workload.requests;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const double v = values[i];
    switch (inputs[i].kind) {
      case InputKind::kStep: each([v](EngineProfile& e) { e.kernel_multiplier *= v; }); break;
      case InputKind::kGemm: each([v](EngineProfile& e) { e.operations.gemm *= v; }); break;
      case InputKind::kExperts: each([v](EngineProfile& e) { e.operations.experts *= v; }); break;
      case InputKind::kAttention: each([v](EngineProfile& e) { e.operations.attention *= v; }); break;
      case InputKind::kCommunication: each([v](EngineProfile& e) { e.operations.communication *= v; }); break;
      case InputKind::kHost: each([v](EngineProfile& e) { e.host_per_step = Seconds(std::max(0.0, e.host_per_step.value() + v)); }); break;
      case InputKind::kRequestPath: each([v](EngineProfile& e) { e.scale_request_path(v); }); break;
      case InputKind::kFirstToken: drawn.first_token_factor = v; break;
      case InputKind::kRate:
        if (own_arrivals(workload)) {
          scale_rates(workload, v / arrivals_per_second(workload));
        } else {
          workload.arrivals.rate = v;
        }
        break;
      case InputKind::kLoad:
        scale_rates(workload, v);
        if (steady) workload = past_first_burst(workload);
        break;
      case InputKind::kPrompts:
        for (WorkloadClass& c : workload.classes) scale_lengths(c.prompt_tokens, v);
        break;
      case InputKind::kOutputs:
        for (WorkloadClass& c : workload.classes) scale_lengths(c.output_tokens, v);
        break;
      case InputKind::kRoutingSigma:
        for (DeploymentConfig* d : deployments) d->routing.sigma = v;
        break;
    }
  }
  return drawn;
}

}  // namespace moeplan
