#include "study/scenario_workload.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "input/catalogue.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"
#include "study/first_burst.hpp"
#include "study/scenario.hpp"
#include "workload/lengths.hpp"
#include "workload/parse_workload.hpp"
#include "workload/recorded_lengths.hpp"

namespace moeplan {
namespace fs = std::filesystem;

namespace {

/// Whether both lengths of some class come from the arrivals' trace.
bool read_from_trace(const WorkloadConfig& workload) {
  const auto read = [](const LengthConfig& lengths) { return lengths.kind == LengthKind::kTrace && lengths.file.empty(); };
  return std::any_of(workload.classes.begin(), workload.classes.end(), [&](const WorkloadClass& c) { return read(c.prompt_tokens) && read(c.output_tokens); });
}

/// Probabilities that a prompt alone, and that a prompt with its output, is longer than `room` tokens allow.
struct TooLong {
  double prompt = 0, request = 0;
};

TooLong too_long(const WorkloadClass& c, std::int64_t room) {
  const auto& rows = c.prompt_tokens.recorded;
  if (!rows) return {share_of_at_least(c.prompt_tokens, room), share_of_sum_at_least(c.prompt_tokens, c.output_tokens, room + 1)};
  const bool one_row = c.output_tokens.recorded == rows;
  TooLong share;
  for (std::size_t i = 0; i < rows->rows(); ++i) {
    const std::int64_t left = room + 1 - rows->prompt_tokens[i];
    share.prompt += left <= 1 ? 1 : 0;
    share.request += one_row ? (rows->output_tokens[i] >= left ? 1 : 0) : share_of_at_least(c.output_tokens, left);
  }
  return {share.prompt / static_cast<double>(rows->rows()), share.request / static_cast<double>(rows->rows())};
}

/// Turns of a session carry all that was said before: those of long sessions outgrow the context. By the mean lengths of a turn.
void warn_of_sessions(std::int64_t context, Scenario& scenario) {
  for (const WorkloadClass& c : scenario.workload.classes) {
    if (!c.sessions.on || (c.sessions.max_context > 0 && c.sessions.max_context < context)) continue;
    const double turn = mean_tokens(c.prompt_tokens) + mean_tokens(c.output_tokens);
    const auto fitting = static_cast<std::int64_t>(static_cast<double>(context - c.prefix.tokens) / turn);
    const double share = share_of_at_least(c.sessions.turns, fitting + 1);
    if (fitting < 1 || share <= 1e-4) continue;
    scenario.warnings.push_back(fmt::format("sessions{} grow by {:.0f} tokens a turn: from about turn {} on, which {:.2g} % of them reach, they do not fit the context of {} tokens, and "
                                            "such turns are rejected; sessions.max_context ends sessions before",
                                            scenario.workload.classes.size() > 1 ? fmt::format(" of the class '{}'", c.name) : "", turn, fitting + 1, share * 100, context));
  }
}

/// Requests (a prompt with its output) most of which can never fit the model's context are wrong input; fewer are rejected at run time, with a warning.
void check_context(const JsonReader& root, const JsonReader& workload, Scenario& scenario) {
  const DeploymentConfig& d = scenario.deployment;
  const std::int64_t context = d.scheduler.max_context > 0 ? d.scheduler.max_context : d.model.max_context;
  if (d.scheduler.max_context > d.model.max_context) {
    root.at("deployment")
        .at("scheduler")
        .at("max_context")
        .fail(fmt::format("{} tokens exceed the model's context of {}", d.scheduler.max_context, d.model.max_context));
  }
  for (const WorkloadClass& c : scenario.workload.classes) {
    const auto [by_prompt, by_request] = too_long(c, context - c.prefix.tokens);
    const double lost = std::max(by_prompt, by_request);
    const bool alone = lost - by_prompt <= 1e-4;
    const std::string prompts = (scenario.workload.classes.size() > 1 ? fmt::format("prompts of the class '{}'", c.name) : "the prompts") + (alone ? "" : " with their outputs");
    if (lost > 0.5) {
      const char* key = by_prompt > 0.5 ? "prompt_tokens" : "output_tokens";
      (workload.has(key) ? workload.at(key) : workload).fail(fmt::format("{:.3g} % of {} do not fit the context of {} tokens", lost * 100, prompts, context));
    }
    if (lost > 1e-4) scenario.warnings.push_back(fmt::format("{:.2g} % of {} do not fit the context of {} tokens; they are rejected", lost * 100, prompts, context));
  }
  warn_of_sessions(context, scenario);
  const auto& trace = scenario.workload.arrivals.trace;
  if (trace && trace->longest_prompt >= context) {
    scenario.warnings.push_back(fmt::format(
        "the trace has prompts of up to {} tokens; those that do not fit the context of {} are rejected", trace->longest_prompt, context));
  } else if (trace && trace->longest_request > context && read_from_trace(scenario.workload)) {
    scenario.warnings.push_back(fmt::format("the trace has requests of up to {} tokens, prompt and output; those that do not fit the context of {} are rejected",
                                            trace->longest_request, context));
  }
}

/// The files that arrivals and lengths are read from, each once.
void note_files(Scenario& scenario) {
  const auto note = [&](const fs::path& file) {
    if (!file.empty() && std::find(scenario.files.begin(), scenario.files.end(), file) == scenario.files.end())
      scenario.files.push_back(file);
  };
  note(scenario.workload.arrivals.file);
  for (const WorkloadClass& c : scenario.workload.classes) {
    note(c.prompt_tokens.file);
    note(c.output_tokens.file);
  }
}

/// What only the study knows of a class: its objectives, and the experts its tokens like.
void resolve_classes(const JsonReader& workload, const FileFolders& folders, Scenario& scenario) {
  if (!workload.has("classes")) return;
  const auto items = workload.at("classes").elements();
  const std::vector<WorkloadClass>& classes = scenario.workload.classes;
  RoutingConfig& routing = scenario.deployment.routing;
  const std::vector<ClassMeans> means = class_means(scenario.workload);
  bool domains = false;
  for (const JsonReader& item : items) {
    domains = domains || item.has("routing");
  }
  double decode = 0;
  double prefill = 0;
  for (const ClassMeans& m : means) {
    decode += m.request_share * m.output_tokens;
    prefill += m.request_share * m.prompt_tokens;
  }
  for (std::size_t i = 0; i < classes.size() && i < items.size(); ++i) {
    if (items[i].has("objectives")) scenario.class_objectives[classes[i].name] = parse_class_objectives(items[i].at("objectives"));
    if (!domains || !scenario.deployment.model.is_moe()) continue;
    RoutingDomain domain;
    domain.name = classes[i].name;
    domain.decode_share = means[i].request_share * means[i].output_tokens / decode;
    domain.prefill_share = means[i].request_share * means[i].prompt_tokens / prefill;
    domain.popularity = items[i].has("routing") ? parse_popularity(items[i].at("routing"), folders) : static_cast<const Popularity&>(routing);
    if (!domain.popularity.recorded.source.empty()) scenario.files.emplace_back(domain.popularity.recorded.source);
    routing.domains.push_back(std::move(domain));
  }
}

}  // namespace

WorkloadConfig load_workload(const fs::path& file, const DataRoot& data) {
  const JsonDocument document = load_json(file, data.schema("workload"));
  return parse_workload(JsonReader(document), {file.parent_path(), data.folder()});
}

void resolve_scenario_workload(const JsonReader& root, const fs::path& folder, const DataRoot& data, Scenario& scenario) {
  const JsonReader entry = root.at("workload");
  if (entry.value().is_string()) {
    const fs::path file = find_catalogue_file(data.workloads(), entry.value().get<std::string>(), "workload", folder, entry.where());
    scenario.files.push_back(file);
    const JsonDocument document = load_json(file, data.schema("workload"));
    scenario.workload = parse_workload(JsonReader(document), {file.parent_path(), data.folder()});
    resolve_classes(JsonReader(document), {file.parent_path(), data.folder()}, scenario);
  } else {
    scenario.workload = parse_workload(entry, {folder, data.folder()});
    resolve_classes(entry, {folder, data.folder()}, scenario);
  }
  // Only a prefix cache asks what prompts have in common.
  scenario.workload.arrivals.prompt_blocks = scenario.deployment.features.prefix_cache;
  note_files(scenario);
  if (const std::string burst = first_burst_warning(scenario.workload); !burst.empty()) scenario.warnings.push_back(burst);
  check_context(root, entry, scenario);
}

}  // namespace moeplan
