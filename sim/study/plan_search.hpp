// The `search` object of a scenario: what a plan may choose from, what it must stay below, what load and failures it must bear.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hardware/node_spec.hpp"
#include "model/deployment.hpp"
#include "model/model_spec.hpp"

namespace moeplan {

class JsonReader;

/// Formats to try: those of a checkpoint by name, or component by component. What is empty is the checkpoint's and the engine's default.
struct PrecisionChoice {
  std::string checkpoint;  ///< "native", "fp8", ...; empty: stated by component
  std::optional<Precision> weights, experts, kv_cache;
};

/// Batch limits to try; what is empty is the engine's default.
struct SchedulerChoice {
  std::optional<int> max_batch_requests, max_batch_tokens;
};

struct PlanLimits {
  std::optional<double> usd_per_hour;
  std::optional<double> watts;  ///< of the nodes at full load
  std::optional<int> racks;
  std::optional<int> gpus;
  double rack_watts = 40e3;
};

/// Most GPUs of a plan where no limit is stated.
inline constexpr int kMostPlanGpus = 4096;

/// What the load of the workload becomes.
struct LoadGrowth {
  std::vector<double> hourly;  ///< empty, or 24 factors on the mean rate
  double growth_per_month = 0;
  int months = 0;
  double peak_factor = 1;
};

/// Nodes that may be missing while the objectives are met.
struct ReliabilityConfig {
  bool stated = false;
  int spare_nodes = 0;
  int maintenance_nodes = 0;
  bool maintenance_off_peak = false;
  double failures_per_node_year = 1.4;
  double restart_s = 600;
  double weight_load_bytes_per_s = 2e9;  ///< per node
};

struct SearchConfig {
  std::vector<std::string> models, gpus, nodes, engines;  ///< empty: the scenario's own
  std::vector<int> counts;                                ///< rising; empty: any
  std::optional<std::vector<ParallelLayout>> layouts;     ///< nothing: "auto"
  std::vector<PrecisionChoice> precisions;                ///< empty: the scenario's own
  std::optional<std::vector<SchedulerChoice>> schedulers;  ///< nothing: "auto"
  PlanLimits limits;
  LoadGrowth load;
  ReliabilityConfig reliability;
  double pareto_up_to = 2;
};

/// Reads a `search` object that the schema has accepted. Throws InputError: not "auto" where that is meant, an unknown format, a hourly profile of
/// zeros, months of growth without a rate.
SearchConfig parse_search(const JsonReader& reader);

/// Keys of a `search` object that change nothing, each with its reason.
std::vector<std::string> unused_search_keys(const JsonReader& reader);

/// A layout of `search`: widths left out are 1.
ParallelLayout parse_search_layout(const JsonReader& reader);

/// The formats that a choice means for a model; `kv_cache` is left as it is where the choice does not state one, and `kv_stated` says so. A checkpoint
/// name means what published runs mean by it: "fp8" the publisher's own fp8 checkpoint, "mxfp4" (and "int4" of an MoE model) quantised experts and bf16 elsewhere.
DeploymentPrecision chosen_precision(const PrecisionChoice& choice, const ModelSpec& model, DeploymentPrecision start, bool& kv_stated);

/// Nodes that one rack holds: one of rack scale, else as many as `rack_watts` feeds, at least one.
int nodes_per_rack(const NodeSpec& node, double node_watts, double rack_watts);

}  // namespace moeplan
