#include "study/plan_space.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"
#include "model/layout_check.hpp"
#include "study/plan_bases.hpp"
#include "study/plan_load.hpp"
#include "workload/request_sources.hpp"

namespace moeplan {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// Samples beyond a percentile that it takes to state it: the tenth largest value still says where the tail begins.
constexpr double kSamplesBeyond = 10;
constexpr int kMostNodesOfReplica = 4;

std::string layout_id(const ParallelLayout& l) { return fmt::format("t{}-p{}-e{}-d{}", l.tensor, l.pipeline, l.expert, l.attention_data); }

std::string precision_id(const DeploymentPrecision& p, bool moe) {
  if (!moe) return fmt::format("{}-kv_{}", to_string(p.weights), to_string(p.kv_cache));
  return fmt::format("{}-experts_{}-kv_{}", to_string(p.weights), to_string(p.experts), to_string(p.kv_cache));
}

bool divides(const ModelSpec& model, const ParallelLayout& layout) {
  try {
    check_layout(model, layout, "");
    return true;
  } catch (const InputError&) {
    return false;
  }
}

/// Requests of each class that are measured, as drawn.
std::map<std::string, std::uint64_t> measured_by_class(const Scenario& scenario, std::uint64_t first) {
  std::map<std::string, std::uint64_t> counts;
  const auto source = make_request_source(scenario.workload, scenario.seed);
  while (const auto spec = source->next()) {
    if (source->closed()) {
      source->on_arrived(spec->id);
      source->on_finished(spec->id, spec->arrival);
    }
    if (spec->id >= first) ++counts[scenario.workload.classes.at(static_cast<std::size_t>(spec->class_id)).name];
  }
  return counts;
}

void check_objectives(const Scenario& scenario, const std::vector<Objective>& objectives, const std::string& file) {
  if (objectives.empty()) {
    throw InputError(file + ": /objectives", "a plan needs objectives, such as {\"ttft_p99\": \"2 s\", \"tpot_p99\": \"60 ms\"}");
  }
  const WorkloadConfig& w = scenario.workload;
  const std::uint64_t measured = w.arrivals.process == ArrivalProcess::kBatch ? w.requests : w.requests - std::min(w.requests, w.warmup_requests);
  std::map<std::string, std::uint64_t> by_class;
  if (!scenario.class_objectives.empty()) by_class = measured_by_class(scenario, w.requests - measured);
  for (const Objective& o : objectives) {
    if (o.kind != ObjectiveKind::kLatency || o.statistic.kind != LatencyStatistic::Kind::kQuantile) continue;
    const auto needed = static_cast<std::uint64_t>(std::ceil(kSamplesBeyond / (1 - o.statistic.quantile) - 1e-6));
    if (!o.workload_class.empty() && by_class[o.workload_class] < needed) {
      throw InputError(file + ": /workload/requests", fmt::format("{} needs {} measured requests of its class ({} beyond the percentile), but only {} of {} are; state more requests",
                                                                  o.key, needed, kSamplesBeyond, by_class[o.workload_class], measured));
    }
    if (measured >= needed) continue;
    throw InputError(file + ": /workload/requests",
                     fmt::format("{} needs {} measured requests ({} beyond the percentile), but {} - {} of warm-up leave {}; state at least {} requests", o.key,
                                 needed, kSamplesBeyond, w.requests, std::min(w.requests, w.warmup_requests), measured, needed + w.warmup_requests));
  }
}

/// A minimum that lies above what clients send can be met by no machine.
void check_offer(const Scenario& scenario, const std::string& file) {
  const auto offered = offered_load(scenario.workload, scenario.seed);
  if (!offered) return;
  for (const Objective& o : scenario.objectives) {
    const bool tokens = o.kind == ObjectiveKind::kOutputTokensPerSecond;
    if (o.kind == ObjectiveKind::kLatency) continue;
    const double most = tokens ? offered->output_tokens_per_s : offered->requests_per_s;
    if (o.bound <= most) continue;
    throw InputError(file + ": /objectives/" + o.key, fmt::format("asks for {:.6g} /s, but the workload offers {:.6g} {}/s: no cluster can meet it; raise the arrival rate",
                                                                   o.bound, most, tokens ? "output tokens" : "requests"));
  }
}

/// `decodes`: prompts are computed elsewhere, so that the automatic choices differ in requests only.
std::vector<SchedulerConfig> schedulers_of(const SearchConfig& search, const SchedulerConfig& start, bool stated, bool decodes) {
  if (!search.schedulers) {
    std::vector<SchedulerConfig> out = stated ? std::vector{start} : automatic_schedulers(start);
    const auto other_tokens = [&](const SchedulerConfig& s) { return decodes && s.max_batch_tokens != start.max_batch_tokens; };
    out.erase(std::remove_if(out.begin(), out.end(), other_tokens), out.end());
    return out;
  }
  std::vector<SchedulerConfig> out;
  for (const SchedulerChoice& choice : *search.schedulers) {
    SchedulerConfig s = start;
    if (choice.max_batch_requests) s.max_batch_requests = *choice.max_batch_requests;
    if (choice.max_batch_tokens) s.max_batch_tokens = *choice.max_batch_tokens;
    out.push_back(s);
  }
  return out;
}

/// Formats to try on a base, without repetition.
std::vector<DeploymentPrecision> precisions_of(const SearchConfig& search, const DeploymentConfig& start, bool kv_in_scenario) {
  std::vector<DeploymentPrecision> out;
  if (search.precisions.empty()) out.push_back(start.precision);
  for (const PrecisionChoice& choice : search.precisions) {
    bool kv_stated = false;
    DeploymentPrecision p = chosen_precision(choice, start.model, start.precision, kv_stated);
    if (!kv_stated && !kv_in_scenario) p.kv_cache = default_kv_cache(start.engine, p);
    if (std::find(out.begin(), out.end(), p) == out.end()) out.push_back(p);
  }
  return out;
}

/// Why the deployment cannot be; empty when it can.
void judge(const DeploymentConfig& config, PlanGroup& group) {
  try {
    check_layout(config.model, config.layout, "layout");
  } catch (const InputError& error) {
    group.refusal = error.what();
    return;
  }
  const SupportAnswer answer = check_support(config.engine, config.cluster.gpu, engine_use(config));
  if (answer.ok()) return;
  const auto source = config.engine.sources.find("supports");
  group.refusal = fmt::format("{} (support matrix of {}{})", answer.refusals.front(), config.engine.id,
                              source == config.engine.sources.end() ? "" : ": " + source->second);
  group.refused_by_engine = true;
}

/// Keeps prefill apart in a group whose decode pool is complete.
void add_prefill(const DisaggregationSpec& start, const ParallelLayout& layout, const ReliabilityConfig& reliability, PlanGroup& group) {
  group.pools = start;
  DeploymentConfig& prefill = group.pools->prefill;
  prefill.layout = layout;
  prefill.precision = group.config.precision;
  prefill.cluster.nodes = nodes_for(prefill.cluster.node, layout.gpus());
  prefill.cluster.gpus = layout.gpus();
  // A node that goes must not take replicas of both pools with it.
  group.pools->own_cluster = start.own_cluster || reliability.spare_nodes > 0 || reliability.maintenance_nodes > 0;
  group.id += fmt::format("/prefill-{}-{}", prefill.cluster.node.id, layout_id(layout));
  if (group.refusal.empty()) judge(prefill, group);
}

/// Layouts of the prefill pool beside a decode pool of `decode`; one that stands for "none" where prefill is not apart.
std::vector<ParallelLayout> prefill_layouts(const Scenario& start, const FeatureChoice& features, const ParallelLayout& decode) {
  if (!start.disaggregation || (!features.pools->layouts && !features.pools->automatic_layouts)) return {decode};
  const DeploymentConfig& prefill = start.disaggregation->prefill;
  return features.pools->layouts ? *features.pools->layouts : automatic_layouts(prefill.model, prefill.cluster.node);
}

void add_group(PlanSpace& space, std::size_t base_index, const ParallelLayout& layout, const ParallelLayout& prefill, const DeploymentPrecision& precision, bool scheduler_in_scenario) {
  const PlanBase& base = space.bases[base_index];
  const DeploymentConfig& d = base.scenario.deployment;
  PlanGroup group;
  group.base = base_index;
  group.config = d;
  group.config.layout = layout;
  group.config.precision = precision;
  group.config.cluster.nodes = nodes_for(d.cluster.node, layout.gpus());
  group.config.cluster.gpus = layout.gpus();
  group.id = fmt::format("{}/{}/{}/{}/{}{}", d.model.id, d.cluster.node.id, d.engine.id, layout_id(layout), precision_id(precision, d.model.is_moe()), base.features_id);
  judge(group.config, group);
  if (base.scenario.disaggregation) add_prefill(*base.scenario.disaggregation, prefill, space.search.reliability, group);
  group.first = space.candidates.size();
  for (const SchedulerConfig& s : schedulers_of(space.search, d.scheduler, scheduler_in_scenario, group.pools.has_value())) {
    space.candidates.push_back({fmt::format("{}/r{}-c{}", group.id, s.max_batch_requests, s.max_batch_tokens), space.groups.size(), s});
  }
  group.count = space.candidates.size() - group.first;
  group.config.scheduler = space.candidates[group.first].scheduler;
  space.groups.push_back(std::move(group));
}

void add_groups(PlanSpace& space, std::size_t base_index, const FeatureChoice& features, bool kv_in_scenario, bool scheduler_in_scenario) {
  const Scenario& start = space.bases[base_index].scenario;
  const SearchConfig& search = space.search;
  const DeploymentConfig& d = start.deployment;
  const std::vector<ParallelLayout> layouts = search.layouts ? *search.layouts : automatic_layouts(d.model, d.cluster.node);
  for (const ParallelLayout& layout : layouts) {
    for (const DeploymentPrecision& precision : precisions_of(search, d, kv_in_scenario)) {
      for (const ParallelLayout& prefill : prefill_layouts(start, features, layout)) add_group(space, base_index, layout, prefill, precision, scheduler_in_scenario);
    }
  }
}

/// One hash of everything that the answer rests on.
std::string inputs_hash(const PlanSpace& space, const JsonDocument& document, const fs::path& anchors) {
  std::set<fs::path> files;
  for (const PlanBase& base : space.bases) files.insert(base.scenario.files.begin(), base.scenario.files.end());
  if (!anchors.empty()) files.insert(anchors);
  // By content: paths are written in many ways.
  std::set<std::string> digests;
  for (const fs::path& file : files) digests.insert(sha256_of_file(file));
  std::string all = std::string(MOEPLAN_VERSION) + "\n" + document.root().dump() + "\n";
  for (const std::string& digest : digests) all += digest + "\n";
  return sha256_of(all);
}

}  // namespace

std::vector<ParallelLayout> automatic_layouts(const ModelSpec& model, const NodeSpec& node) {
  const int most = kMostNodesOfReplica * node.gpus;
  const int most_copies = model.is_moe() ? most : 1;
  std::vector<ParallelLayout> out;
  for (int pipeline = 1; pipeline <= 4; pipeline *= 2) {
    for (int copies = 1; copies <= most_copies; copies *= 2) {
      if (pipeline > 1 && copies > 1) break;
      for (int tensor = 1; tensor <= node.gpus; tensor *= 2) {
        const int stage = tensor * copies;
        if (stage * pipeline > most) break;
        for (const int expert : {1, stage}) {
          const ParallelLayout layout{.tensor = tensor, .pipeline = pipeline, .expert = expert, .attention_data = copies};
          const bool seen = !out.empty() && out.back() == layout;
          if (!seen && divides(model, layout)) out.push_back(layout);
        }
      }
    }
  }
  return out;
}

std::vector<SchedulerConfig> automatic_schedulers(const SchedulerConfig& engine) {
  std::vector<SchedulerConfig> out = {engine};
  const auto add = [&](int requests, int tokens) {
    SchedulerConfig s = engine;
    s.max_batch_requests = std::min(requests, s.max_batch_requests);
    s.max_batch_tokens = std::min(tokens, s.max_batch_tokens);
    const auto same = [&](const SchedulerConfig& o) { return o.max_batch_requests == s.max_batch_requests && o.max_batch_tokens == s.max_batch_tokens; };
    if (std::none_of(out.begin(), out.end(), same)) out.push_back(s);
  };
  constexpr int kAll = 1 << 30;
  add(256, kAll);
  add(64, kAll);
  add(kAll, 2048);
  add(256, 2048);
  add(64, 2048);
  return out;
}

PlanSpace lay_out_plan(const JsonDocument& document, const fs::path& folder, const DataRoot& data, const fs::path& anchors) {
  const json& root = document.root();
  const JsonReader reader(document);
  PlanSpace space;
  if (reader.has("search")) space.search = parse_search(reader.at("search"));
  const json deployment = root.value("deployment", json::object());
  const bool kv_stated = deployment.contains("precision") && deployment["precision"].contains("kv_cache");
  const bool scheduler_stated = !reader.has("search") || !root["search"].contains("schedulers");
  const std::vector<FeatureChoice> features = feature_choices(reader, space.features);
  const std::vector<std::size_t> features_of = add_bases(document, folder, data, features, space);
  const Scenario& first = space.bases.front().scenario;
  if (std::none_of(space.bases.begin(), space.bases.end(), [](const PlanBase& b) { return b.price_problem.empty(); })) {
    throw InputError(space.bases.front().price_problem);
  }
  const LoadFactors factors = load_factors(space.search.load, first.workload);
  if (first.workload.arrivals.process == ArrivalProcess::kBatch && factors.peak != 1) {
    throw InputError(document.file + ": /search/load", "a batch has no rate that could grow or have a peak");
  }
  if (reader.has("search")) {
    const std::vector<std::string> unused = unused_search_keys(reader.at("search"));
    for (PlanBase& base : space.bases) base.scenario.warnings.insert(base.scenario.warnings.end(), unused.begin(), unused.end());
  }
  space.objectives = all_objectives(first);
  check_objectives(first, space.objectives, document.file);
  check_offer(first, document.file);
  for (std::size_t i = 0; i < space.bases.size(); ++i) add_groups(space, i, features[features_of[i]], kv_stated, scheduler_stated);
  if (space.candidates.empty()) {
    throw InputError(document.file + ": /search", "is empty: no layout divides a model of it on the nodes allowed");
  }
  space.inputs = inputs_hash(space, document, anchors);
  return space;
}

}  // namespace moeplan
