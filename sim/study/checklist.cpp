#include "study/checklist.hpp"

#include <fmt/core.h>

#include "base/error.hpp"

namespace moeplan {

namespace {

/// Formats that differ only in how their scales are stored are the same to a quality evaluation.
constexpr double kSameFormat = 0.95;

std::string billions(double parameters) { return fmt::format("{:.1f}B", parameters / 1e9); }

CheckItem kind_of_model(const ModelSpec& model, const ParameterCount& parameters) {
  CheckItem item{"dense or MoE confirmed", CheckStatus::kConfirmed, {}};
  if (const MoeSpec* moe = model.moe()) {
    item.detail = fmt::format("MoE: {} experts, {} per token, in {} of {} layers; {} parameters, {} active per token", moe->experts, moe->active_experts(),
                              model.moe_layer_count(), model.layer_count(), billions(parameters.total()), billions(parameters.active()));
  } else {
    item.detail = fmt::format("dense: all {} parameters work on every token", billions(parameters.total()));
  }
  if (model.confidence == "raw-config") {
    item.detail += "; from the publisher's configuration";
  } else {
    item.status = CheckStatus::kOpen;
    item.detail += fmt::format("; sizes from {}: compare them with the checkpoint's configuration", model.confidence.empty() ? "an unnamed source" : model.confidence);
  }
  return item;
}

CheckItem engine_support(const DeploymentConfig& d) {
  const bool moe = d.model.is_moe();
  CheckItem item{moe ? "engine supports fused MoE and expert parallelism" : "engine supports the layout", CheckStatus::kConfirmed, {}};
  item.detail = fmt::format("{} {} on {}: weights {}, KV cache {}", d.engine.id, d.engine.version, d.cluster.gpu.architecture, to_string(d.precision.weights),
                            to_string(d.precision.kv_cache));
  if (moe) item.detail += fmt::format(", experts {}, expert parallelism {}", to_string(d.precision.experts), d.layout.expert > 1 ? std::to_string(d.layout.expert) : "off");
  const SupportAnswer answer = check_support(d.engine, d.cluster.gpu, engine_use(d));
  for (const std::string& line : answer.refusals) item.detail += "; " + line;
  for (const std::string& line : answer.warnings) item.detail += "; " + line;
  if (!answer.ok()) item.status = CheckStatus::kFailed;
  else if (!answer.warnings.empty()) item.status = CheckStatus::kOpen;
  return item;
}

CheckItem quality(const DeploymentConfig& d) {
  CheckItem item{"quality of the quantised model evaluated", CheckStatus::kConfirmed, {}};
  const auto compare = [&](const char* what, Precision runs, Precision published) {
    if (bytes_per_weight(runs) > kSameFormat * bytes_per_weight(published)) return;
    item.status = CheckStatus::kOpen;
    item.detail += fmt::format("{}{} run in {}, published in {}", item.detail.empty() ? "" : "; ", what, to_string(runs), to_string(published));
  };
  compare("weights", d.precision.weights, d.model.native.weights);
  if (d.model.is_moe()) compare("experts", d.precision.experts, d.model.native.experts);
  compare("keys and values", d.precision.kv_cache, Precision::kBf16);
  item.detail += item.status == CheckStatus::kOpen ? ": re-run your quality evaluations in these formats" : "nothing runs in fewer bits than it was published in";
  return item;
}

CheckItem benchmark(const Scenario& scenario, const Result& result) {
  CheckItem item{"real batch and context benchmarked", CheckStatus::kOpen, {}};
  if (result.anchors) {
    item.status = CheckStatus::kConfirmed;
    item.detail = fmt::format("{} measured values of this deployment corrected the prediction", result.anchors->points.size());
    return item;
  }
  item.detail = "no measured point of this deployment; ";
  if (result.mean_batch > 0) item.detail += fmt::format("benchmark it near {:.0f} running requests per replica with your own lengths and ", result.mean_batch);
  item.detail += fmt::format("give the result to --anchors ({}, {} GPUs a replica)", scenario.deployment.engine.id, scenario.deployment.layout.gpus());
  return item;
}

CheckItem memory(const Result& result) {
  const MemoryPlan& plan = result.memory.plan;
  const ParameterCount& parameters = result.memory.parameters;
  CheckItem item{"memory sized for total parameters", CheckStatus::kConfirmed, {}};
  item.detail = fmt::format("all {} parameters are resident, not the {} active: {:.1f} GB of weights on the fullest GPU of {:.1f} GB", billions(parameters.total()),
                            billions(parameters.active()), plan.weights.as_double() / 1e9, plan.capacity.as_double() / 1e9);
  if (!plan.fits) {
    item.status = CheckStatus::kFailed;
    item.detail += fmt::format("; {:.1f} GB are missing", plan.missing.as_double() / 1e9);
  }
  return item;
}

}  // namespace

std::string_view to_string(CheckStatus status) {
  switch (status) {
    case CheckStatus::kConfirmed: return "confirmed";
    case CheckStatus::kOpen: return "open";
    case CheckStatus::kFailed: return "failed";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::vector<CheckItem> production_checklist(const Scenario& scenario, const Result& result) {
  const DeploymentConfig& d = scenario.deployment;
  return {kind_of_model(d.model, result.memory.parameters), engine_support(d), quality(d), benchmark(scenario, result), memory(result)};
}

}  // namespace moeplan
