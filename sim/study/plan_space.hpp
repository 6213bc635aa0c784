// The space of a plan search, laid out before anything is simulated: every deployment of one replica that the search allows, in an order that
// never changes. The number of replicas is not part of it: it is searched for each.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "study/plan_features.hpp"
#include "study/plan_search.hpp"
#include "study/scenario.hpp"

namespace moeplan {

struct JsonDocument;

/// A model on one kind of hardware under one engine: what its candidates share.
struct PlanBase {
  Scenario scenario;  ///< its deployment is the starting point; `replicas` is 1
  std::optional<FleetSpec> fleet;         ///< as stated: the plan is tried with them (plan_trial.hpp)
  std::optional<FailureConfig> failures;
  std::string price_problem;  ///< why there is no price; empty: there is one
  std::map<std::string, std::string> features;  ///< of search.features: what it serves with, by feature
  std::string features_id;                      ///< "/prefix_cache_on/speculation_none"; empty: nothing to choose from
};

/// One deployment of one replica.
struct PlanCandidate {
  std::string id;     ///< "deepseek-r1/hgx-h200/sglang/t8-p1-e8-d1/fp8_block-fp8_block-bf16/r256-c8192"; with prefill apart
                      ///< ".../prefill-hgx-h100-t8-p1-e8-d1/r256-c8192"
  std::size_t group = 0;
  SchedulerConfig scheduler;
};

/// Candidates that differ in their batch limits only: they share the times of steps.
struct PlanGroup {
  std::string id;
  std::size_t base = 0;
  DeploymentConfig config;  ///< with the scheduler of its first candidate; of the decode pool where prefill is apart
  std::optional<DisaggregationSpec> pools;  ///< prefill apart
  std::string refusal;      ///< why none of them can be: layout or support matrix; empty: they can
  bool refused_by_engine = false;
  std::size_t first = 0, count = 0;  ///< its candidates
};

struct PlanSpace {
  SearchConfig search;
  std::vector<PlanBase> bases;
  std::vector<PlanGroup> groups;
  std::vector<PlanCandidate> candidates;
  std::vector<Objective> objectives;  ///< of all requests, then those of single classes
  std::vector<PlanFeature> features;  ///< to choose from
  std::string inputs;  ///< SHA-256 of the scenario's text and of every file it rests on
};

/// Lays out the space of the scenario document `document`, whose relative paths are taken from `folder`. `anchors`: file of measured runs, or empty; it
/// goes into the hash of the inputs. Throws InputError for a document without objectives, a load objective that the workload does not offer, a
/// percentile of too few requests, an unknown id, and an empty space.
PlanSpace lay_out_plan(const JsonDocument& document, const std::filesystem::path& folder, const DataRoot& data,
                       const std::filesystem::path& anchors = {});

/// The layouts that "auto" means for a model on nodes of this kind: widths that are powers of two and divide the model. Tensor parallelism stays within
/// a node; pipeline stages, and attention-data parallelism of MoE models, may span up to four of them. Those that search.limits or search.counts leave no room for are
/// rejected with that reason like any other candidate.
std::vector<ParallelLayout> automatic_layouts(const ModelSpec& model, const NodeSpec& node);

/// The batch limits that "auto" means: the engine's own, and lower ones that trade throughput for latency and memory.
std::vector<SchedulerConfig> automatic_schedulers(const SchedulerConfig& engine);

}  // namespace moeplan
