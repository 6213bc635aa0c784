#include "study/compare_rows.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <cmath>

#include "base/error.hpp"
#include "model/flops.hpp"
#include "study/compare_input.hpp"
#include "study/crossings.hpp"
#include "study/first_burst.hpp"
#include "study/simulation.hpp"
#include "study/steady_load.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

/// Requests, one after the other, that tell the latency of an idle deployment.
constexpr std::uint64_t kLoneRequests = 24;

/// A scenario that says nothing of money is compared at listed prices.
void add_listed_price(Scenario& scenario, const DataRoot& data, std::vector<std::string>& notes) {
  CostSpec& cost = scenario.cost;
  if (cost.rental_usd_per_gpu_hour || cost.owned) return;
  cost.rental.from_list = true;
  try {
    const DeploymentConfig& d = scenario.deployment;
    cost = cost_on(cost, d.cluster.gpu, d.cluster.node, data, scenario.name);
    notes.push_back(fmt::format("{} states no cost; compared at {} USD per GPU-hour: {}", scenario.name, *cost.rental_usd_per_gpu_hour,
                                cost.rental_source));
  } catch (const InputError&) {
    cost.rental = {};
    notes.push_back(
        fmt::format("{} states no cost, and no rental price of {} is listed", scenario.name, scenario.deployment.cluster.gpu.id));
  }
}

const LatencySummary& latency(const Result& result, LatencyMetric metric) { return (*result.latency)[static_cast<std::size_t>(metric)]; }

/// Of both pools where prefill stands on other GPUs than decode.
std::string gpus_of(const std::string& prefill, const std::string& decode) { return prefill == decode ? decode : "(" + prefill + " + " + decode + ")"; }

void describe(const Scenario& scenario, const MemorySummary& memory, ComparedRow& row) {
  const DeploymentConfig& d = scenario.deployment;
  row.model = d.model.id;
  row.gpu = gpus_of(scenario.disaggregation ? scenario.disaggregation->prefill.cluster.gpu.id : d.cluster.gpu.id, d.cluster.gpu.id);
  row.engine = d.engine.id;
  row.moe = d.model.is_moe();
  row.replicas = scenario.replicas;
  row.gpus = scenario.gpus();
  row.fits = memory.plan.fits;
  row.weights_bytes_per_gpu = memory.plan.weights.as_double();
  row.weights_bytes = row.weights_bytes_per_gpu * d.layout.gpus();
  row.parameters = memory.parameters.total();
  row.active_parameters = memory.parameters.active();
  row.owned = scenario.cost.owned && !scenario.cost.rental_usd_per_gpu_hour;
  if (scenario.quality) row.quality = scenario.quality->score;
}

void judge_objectives(const Result& result, ComparedRow& row) {
  row.objectives_met = !row.saturated;
  for (const ObjectiveResult& o : result.objectives) {
    if (o.met) continue;
    row.objectives_met = false;
    const bool seconds = o.objective.kind == ObjectiveKind::kLatency;
    row.missed.push_back(
        o.value ? fmt::format("{} {:.3g} {} (asked {:.3g})", o.objective.key, *o.value, seconds ? "s" : "/s", o.objective.bound)
                : o.objective.key);
  }
}

void fill_load(const Scenario& scenario, const Result& result, ComparedRow& row) {
  const ThroughputSummary& t = *result.throughput;
  row.offered_per_s = offered_rate(scenario.workload, t);
  row.requests_per_s = result.cost ? result.cost->load.requests_per_s : t.requests_per_s;
  row.output_tokens_per_s = result.cost ? result.cost->load.output_tokens_per_s : t.output_tokens_per_s;
  if (row.requests_per_s > 0) row.output_tokens_per_request = *row.output_tokens_per_s / *row.requests_per_s;
  row.saturated = t.saturated;
  row.ttft_p50_s = latency(result, LatencyMetric::kTtft).p50;
  row.ttft_p99_s = latency(result, LatencyMetric::kTtft).p99;
  if (latency(result, LatencyMetric::kTpot).count > 0) {
    row.tpot_p50_s = latency(result, LatencyMetric::kTpot).p50;
    row.tpot_p99_s = latency(result, LatencyMetric::kTpot).p99;
  }
  judge_objectives(result, row);
  if (!result.cost) return;
  row.usd_per_hour = result.cost->usd_per_hour;
  row.usd_per_million_output_tokens = result.cost->usd_per_million_output_tokens;
  row.joules_per_output_token = result.cost->joules_per_output_token;
  row.price_source = result.cost->source;
}

/// From two more seeds, where that is quick.
RunNoise noise_of(const Scenario& scenario, const Deployment& deployment, const ComparedRow& row) {
  constexpr std::uint64_t kQuick = 20'000;
  RunNoise noise;
  if (scenario.workload.requests > kQuick || row.saturated) return noise;
  std::vector<ComparedRow> rows = {row};
  for (const std::uint64_t more : {1U, 2U}) {
    Scenario again = scenario;
    again.seed += more;
    fill_load(again, run_on(again, deployment, {}), rows.emplace_back());
  }
  const auto spread = [&](std::optional<double> ComparedRow::*figure) {
    double sum = 0, squares = 0;
    for (const ComparedRow& r : rows) {
      if (!(r.*figure)) return 0.0;
      sum += *(r.*figure);
    }
    const double mean = sum / static_cast<double>(rows.size());
    for (const ComparedRow& r : rows) squares += std::pow(*(r.*figure) - mean, 2);
    return mean > 0 ? 2 * std::sqrt(squares / static_cast<double>(rows.size() - 1)) / mean : 0.0;
  };
  noise.tpot_p50 = spread(&ComparedRow::tpot_p50_s);
  noise.joules = spread(&ComparedRow::joules_per_output_token);
  noise.output_tokens = spread(&ComparedRow::output_tokens_per_s);
  return noise;
}

std::optional<double> number_at(const json& document, const std::string& pointer) {
  const json::json_pointer where(pointer);
  if (!document.contains(where) || !document.at(where).is_number()) return std::nullopt;
  return document.at(where).get<double>();
}

/// What a stored result says of its load, in place of a run of today's.
void fill_stored(const json& stored, ComparedRow& row) {
  row.stored = true;
  // What its cost divides by, as of inputs that are run; offered is what its own run saw, unless that is known.
  const auto served = [&](const char* key) {
    const auto of_cost = number_at(stored, std::string("/cost/served/") + key);
    return of_cost ? of_cost : number_at(stored, std::string("/throughput/") + key);
  };
  if (!row.offered_per_s) row.offered_per_s = number_at(stored, "/throughput/offered_per_s");
  row.requests_per_s = served("requests_per_s");
  row.output_tokens_per_s = served("output_tokens_per_s");
  if (row.requests_per_s.value_or(0) > 0) row.output_tokens_per_request = row.output_tokens_per_s.value_or(0) / *row.requests_per_s;
  row.ttft_p50_s = number_at(stored, "/latency/ttft_s/p50");
  row.ttft_p99_s = number_at(stored, "/latency/ttft_s/p99");
  row.tpot_p50_s = number_at(stored, "/latency/tpot_s/p50");
  row.tpot_p99_s = number_at(stored, "/latency/tpot_s/p99");
  row.usd_per_hour = number_at(stored, "/cost/per_hour_usd");
  row.usd_per_million_output_tokens = number_at(stored, "/cost/per_million_output_tokens_usd");
  row.joules_per_output_token = number_at(stored, "/cost/power/joules_per_output_token");
  row.saturated = stored.value("/throughput/saturated"_json_pointer, false);
}

/// All that is left of a result that cannot be run again.
void describe_stored(const json& stored, ComparedRow& row) {
  const auto text = [&](const char* pointer) { return stored.value(json::json_pointer(pointer), std::string("?")); };
  row.model = text("/scenario/model");
  const std::string gpu = text("/scenario/cluster/gpu");
  row.gpu = gpus_of(stored.value("/scenario/deployment/disaggregation/prefill/cluster/gpu"_json_pointer, gpu), gpu);
  row.engine = text("/scenario/deployment/engine");
  row.fits = stored.value("/memory/fits"_json_pointer, false);
  double gpus = 1;
  for (const char* key : {"tensor", "pipeline", "attention_data"})
    gpus *= number_at(stored, std::string("/scenario/deployment/parallel/") + key).value_or(1);
  row.replicas = static_cast<int>(number_at(stored, "/scenario/deployment/replicas").value_or(number_at(stored, "/hardware/replicas").value_or(1)));
  row.gpus = static_cast<int>(number_at(stored, "/hardware/gpus").value_or(row.replicas * gpus));
  row.weights_bytes_per_gpu = number_at(stored, "/memory/per_gpu/weights_bytes").value_or(0);
  row.weights_bytes = row.weights_bytes_per_gpu * gpus;
  row.moe = number_at(stored, "/memory/per_gpu/experts_bytes").value_or(0) > 0;
  row.parameters = number_at(stored, "/memory/parameters/total").value_or(0);
  row.active_parameters = number_at(stored, "/memory/parameters/active").value_or(0);
}

void run_alone(const Scenario& scenario, const Deployment& deployment, ComparedRow& row) {
  Scenario lone = scenario;
  lone.workload = without_conversations(at_rate(scenario.workload, 1, kLoneRequests, 0));
  lone.workload.arrivals = {};
  lone.workload.arrivals.process = ArrivalProcess::kClosed;
  lone.workload.arrivals.concurrency = 1;
  read_lengths_from(scenario.workload.arrivals.file, lone.workload);
  const Result result = run_on(lone, deployment, {});
  row.batch1_ttft_s = latency(result, LatencyMetric::kTtft).p50;
  if (latency(result, LatencyMetric::kTpot).count > 0) row.batch1_tpot_s = latency(result, LatencyMetric::kTpot).p50;
}

/// Cost and energy when loaded as far as the objectives allow.
void price_capacity(ComparedRun& run) {
  const LoadCurve& curve = *run.curve;
  if (!(curve.capacity_per_s > 0)) return;
  double busy = 1;
  for (auto point = curve.points.rbegin(); point != curve.points.rend() && point->offered_per_s >= curve.capacity_per_s; ++point)
    busy = point->busy;
  const Scenario& s = *run.scenario;
  const ServedLoad load{curve.capacity_per_s, curve.capacity_per_s * run.lengths.prompt_tokens, curve.capacity_per_s * run.lengths.output_tokens, 0};
  std::optional<CostBeside> prefill;
  CostDemand demand{run.row.gpus, 0, busy};
  if (s.disaggregation && s.disaggregation->cost) {
    const DisaggregationSpec& pools = *s.disaggregation;
    prefill.emplace(CostBeside{*pools.cost, pools.prefill.cluster, {pools.prefill_replicas * pools.prefill.layout.gpus(), 0, busy}});
    demand.gpus -= prefill->demand.gpus;
  }
  const auto cost = summarise_cost(s.cost, s.deployment.cluster, demand, load, run.result->memory.parameters, prefill ? &*prefill : nullptr);
  if (!cost) return;
  run.row.usd_per_million_at_capacity = cost->usd_per_million_output_tokens;
  run.row.joules_at_capacity = cost->joules_per_output_token;
}

void run_scenario_of(const CompareInput& input, std::uint64_t seed, const DataRoot& data, StudyLibraries& shared, ComparedRun& run) {
  run.scenario = input.scenario;
  Scenario& scenario = *run.scenario;
  scenario.seed = seed;
  if (!input.stored) {
    const std::string burst = leave_out_first_burst(scenario, "a comparison is about steady operation");
    if (!burst.empty()) run.notes.push_back(input.name + ": " + burst);
    add_listed_price(scenario, data, run.notes);
  } else if (!input.changed_since.empty()) {
    run.notes.push_back(fmt::format("{}: stored is what it did at its load; all else is simulated now, though {} changed since: {} (--old-data DIR takes a first input's "
                                    "catalogues of then)", input.name, input.changed_since.size() == 1 ? "a file has" : "files have", fmt::join(input.changed_since, ", ")));
  }
  // Where the load has a rate, the lengths that its cost is taken at.
  run.lengths = long_run_lengths(scenario.workload, seed);
  if (!(run.lengths.output_tokens > 0)) run.lengths = mean_lengths(scenario.workload, seed);
  run.row.flops_per_token = flops_per_token(scenario.deployment.model, run.lengths.prompt_tokens + run.lengths.output_tokens / 2).value();
  run.result = memory_only(scenario);
  describe(scenario, run.result->memory, run.row);
  if (!run.result->memory.plan.fits) {
    run.notes.push_back(
        fmt::format("{} does not fit: {:.1f} GB missing per GPU", input.name, run.result->memory.plan.missing.as_double() / 1e9));
    return;
  }
  run.deployment = std::make_unique<Deployment>(scenario.deployment, shared);
  run.result = run_on(scenario, *run.deployment, {});
  fill_load(scenario, *run.result, run.row);
  if (!input.stored) run.row.noise = noise_of(scenario, *run.deployment, run.row);
  for (const std::string& warning : run.result->warnings) {
    if (warning.find("raise `requests`") != std::string::npos) run.notes.push_back(input.name + ": " + warning);
  }
  run_alone(scenario, *run.deployment, run.row);
  run.curve = load_curve(scenario, *run.deployment);
  run.row.saturation_requests_per_s = run.curve->saturation_requests_per_s;
  run.row.saturation_tokens_per_s = run.curve->saturation_output_tokens_per_s;
  run.row.capacity_per_s = run.curve->capacity_per_s;
  price_capacity(run);
}

}  // namespace

ComparedRun run_compared(const CompareInput& input, std::uint64_t seed, const DataRoot& data, StudyLibraries& shared) {
  ComparedRun run;
  if (input.scenario) {
    run_scenario_of(input, seed, data, shared, run);
  } else {
    describe_stored(*input.stored, run.row);
    run.notes.push_back(fmt::format("{} cannot be run again ({}); only its stored figures are compared", input.name, input.why_not));
  }
  if (input.stored) fill_stored(*input.stored, run.row);
  run.row.name = input.name;
  return run;
}

void price_load(std::optional<double> load_per_s, ComparedRun& run) {
  ComparedRow& row = run.row;
  if (!row.usd_per_hour) return;
  // Clients that wait for answers, or a batch: what misses the objectives under them does not carry them.
  if (!load_per_s && !row.objectives_met && !row.stored) return;
  int needed = 1;
  if (load_per_s && !(row.objectives_met && row.offered_per_s && *row.offered_per_s >= 0.999 * *load_per_s)) {
    if (!row.capacity_per_s || !(*row.capacity_per_s > 0)) return;
    const auto at = [&](double capacity) { return static_cast<int>(Staircase{1, capacity}.deployments(*load_per_s)); };
    needed = at(*row.capacity_per_s);
    row.fewest_needed = at(*row.capacity_per_s * (1 + kCapacityError));
    row.most_needed = at(*row.capacity_per_s * (1 - kCapacityError));
  }
  row.deployments_needed = needed;
  row.usd_per_hour_needed = needed * *row.usd_per_hour;
  // The tokens of a request as where it is served, so that one deployment under its own load costs the same in both places; an overloaded one serves the
  // short requests of the run first.
  const double per_request = row.output_tokens_per_request > 0 && !row.saturated ? row.output_tokens_per_request : run.lengths.output_tokens;
  const double tokens = load_per_s ? *load_per_s * per_request : row.output_tokens_per_s.value_or(0);
  if (tokens > 0) row.usd_per_million_needed = *row.usd_per_hour_needed / 3600 / tokens * 1e6;
  if (row.quality && row.usd_per_million_needed) row.usd_per_million_per_quality = *row.usd_per_million_needed / *row.quality;
}

}  // namespace moeplan
