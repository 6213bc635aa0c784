// One measured run, repeated in simulation: its deployment resolved from catalogue ids, its load applied the way the measurement says.

#include "study/predict_run.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/error.hpp"
#include "hardware/hardware_catalogue.hpp"
#include "input/catalogue.hpp"
#include "metrics/latency_metrics.hpp"
#include "metrics/observer_list.hpp"
#include "metrics/step_metrics.hpp"
#include "metrics/throughput_metrics.hpp"
#include "model/layout_check.hpp"
#include "model/model_file.hpp"
#include "study/scenario.hpp"
#include "workload/request_sources.hpp"

namespace moeplan {
namespace fs = std::filesystem;

namespace {

/// Half width of the spread, as a share of the nominal length, given to closed loops that state equal lengths.
constexpr double kLockstepSpread = 0.1;

// How TensorRT-LLM's performance overviews are measured since version 0.15 (trtllm-bench throughput; from memory, not re-verified): the tool sets the
// batch limit to the requests that the KV cache holds and the token limit to what a step of that batch needs; most runs raise the share of free memory.
constexpr int kFirstSizedMinor = 15;
constexpr double kMostSizedRequests = 4096;
constexpr double kLeastSizedTokens = 2048, kMostSizedTokens = 8192;
constexpr double kOfflineMemoryFraction = 0.95;

/// Experts' loads under prompts of one kind, as benchmarks send them: DeepSeek-V2-Lite, single narrow tasks (scenarios/routing). The defaults of models
/// with many experts stand for mixed traffic.
constexpr double kOneTaskSigma = 0.77;
constexpr int kManyExperts = 16;

/// Batch limit taken where the engine's default does not fit beside the weights.
constexpr int kLoweredBatch = 256;

/// Weight formats of published runs: what a label means for the two component groups of a model.
DeploymentPrecision run_precision(const MeasuredRun& run, const ModelSpec& model, const EngineProfile& engine) {
  DeploymentPrecision precision;
  const auto weights = run.weights.empty() ? std::optional(model.native.weights) : precision_from_string(run.weights);
  if (!weights) throw InputError(fmt::format("weights '{}' is no known format", run.weights));
  precision.weights = *weights;
  precision.experts = *weights;
  // 4-bit checkpoints of MoE models quantise the experts and leave the rest in bf16 (gpt-oss: MXFP4, Kimi-K2 Thinking and K2.5: INT4).
  if ((*weights == Precision::kMxfp4 || *weights == Precision::kInt4) && model.is_moe()) precision.weights = Precision::kBf16;
  // "fp8" says nothing of the scales: runs use the publisher's own fp8 checkpoint.
  if (*weights == Precision::kFp8) precision.weights = precision.experts = model.native.fp8_checkpoint;
  precision.kv_cache = default_kv_cache(engine, precision);
  if (!run.kv_cache.empty()) {
    const auto kv = precision_from_string(run.kv_cache);
    if (!kv) throw InputError(fmt::format("kv_cache '{}' is no known format", run.kv_cache));
    precision.kv_cache = *kv;
  }
  return precision;
}

/// Requests of an offline run: TensorRT-LLM's overviews take 30,000 of 128 + 128 tokens, 3,000 of about 2,200, 1,500 of 4,096 to 5,500 and 1,000 of
/// 22,000 (from memory, not re-verified).
std::uint64_t offline_requests(const MeasuredRun& run) {
  const double tokens = static_cast<double>(run.isl) + run.osl;
  return static_cast<std::uint64_t>(std::clamp(7.0e6 / tokens, 1000.0, 30000.0));
}

bool sized_for_its_load(const MeasuredRun& run) {
  if (run.mode != LoadMode::kOffline || run.engine != "trtllm") return false;
  const std::string& version = run.engine_version;
  const std::size_t number = version.find_first_of("0123456789");  // "0.14.0", "v0.14", "TensorRT-LLM 0.14"
  if (number == std::string::npos || version.compare(number, 2, "0.") != 0) return true;
  int minor = 0;
  std::from_chars(version.data() + number + 2, version.data() + version.size(), minor);
  return minor >= kFirstSizedMinor;
}

/// The limits that the benchmark tool derives from lengths and memory. REQUIRES: everything else of `config` is set.
void size_for_load(const MeasuredRun& run, DeploymentConfig& config) {
  SchedulerConfig& scheduler = config.scheduler;
  scheduler.memory_fraction = std::max(scheduler.memory_fraction, kOfflineMemoryFraction);
  scheduler.max_batch_requests = 1;
  scheduler.max_batch_tokens = run.isl;
  const double held = static_cast<double>(plan_deployment_memory(config).plan.kv_capacity_tokens) / (run.isl + run.osl) / config.layout.attention_data;
  const double requests = std::clamp(held, 1.0, kMostSizedRequests);
  const double tokens = std::clamp(requests * (1.0 + static_cast<double>(run.isl) / run.osl), kLeastSizedTokens, kMostSizedTokens);
  const auto rounded_up = [](double x, int to) { return static_cast<int>(std::ceil(x / to)) * to; };
  scheduler.max_batch_requests = rounded_up(requests, 64);
  scheduler.max_batch_tokens = std::max(run.isl, rounded_up(tokens, 256));
}

RoutingConfig benchmark_routing(const std::string& family, const MoeSpec& moe) {
  RoutingConfig routing = default_routing(family, moe);
  if (routing.popularity == PopularityKind::kLognormal && moe.experts > kManyExperts) routing.sigma = std::max(routing.sigma, kOneTaskSigma);
  return routing;
}

/// Throughput runs of MoE models that state neither ep nor dp, on GPUs that only PCIe connects: tensor parallelism cannot have them, attention data
/// parallelism over the same GPUs has (hardware_profiles/README.md, choice ae).
bool copies_attention(const MeasuredRun& run, const DeploymentConfig& config) {
  const NodeSpec& node = config.cluster.node;
  return !run.states_split && run.mode == LoadMode::kOffline && run.tp > 1 && config.model.is_moe() && node.topology == ScaleUpTopology::kPcieTree;
}

WorkloadConfig run_workload(const MeasuredRun& run) {
  WorkloadConfig workload;
  WorkloadClass load;
  // A closed loop of equal lengths would run in lockstep for ever: all requests of a wave end in one step and are prefilled together. Real
  // loops drift apart within a few generations, so equal lengths are spread by a tenth around their mean.
  const bool lockstep = run.mode == LoadMode::kClosed && run.length_low > 0.95;
  const double from = lockstep ? 1.0 - kLockstepSpread : run.length_low;
  const double to = lockstep ? 1.0 + kLockstepSpread : 1.0;
  const auto lengths = [&](int nominal) {
    const int low = std::max(1, static_cast<int>(std::lround(from * nominal)));
    return LengthConfig::uniform(low, std::max(low, static_cast<int>(std::lround(to * nominal))));
  };
  load.prompt_tokens = lengths(run.isl);
  load.output_tokens = lengths(run.osl);
  workload.classes = {load};
  switch (run.mode) {
    case LoadMode::kClosed:
      workload.arrivals.process = ArrivalProcess::kClosed;
      workload.arrivals.concurrency = run.concurrency;
      workload.requests = 10ULL * static_cast<std::uint64_t>(run.concurrency);
      break;
    case LoadMode::kOffline:
      workload.arrivals.process = ArrivalProcess::kBatch;
      workload.requests = offline_requests(run);
      break;
    case LoadMode::kOpen:
      workload.arrivals.process = std::isinf(run.request_rate_per_s) ? ArrivalProcess::kBatch : ArrivalProcess::kPoisson;
      if (workload.arrivals.process == ArrivalProcess::kPoisson) workload.arrivals.rate = run.request_rate_per_s;
      workload.requests = 500;
      break;
  }
  resolve_workload(workload, run.id);
  return workload;
}

}  // namespace

DeploymentConfig run_deployment(const MeasuredRun& run, const DataRoot& data) {
  DeploymentConfig config;
  const std::string where = run.id;
  config.model = load_model(find_catalogue_file(data.models(), run.model, "model", {}, where), data.schema_folder());
  config.cluster.gpu = load_gpu(find_catalogue_file(data.gpus(), run.gpu, "GPU", {}, where), {});
  config.cluster.node = load_node(find_catalogue_file(data.nodes(), config.cluster.gpu.default_node, "node", {}, where), {});
  config.engine = load_engine(find_catalogue_file(data.engines(), run.engine, "engine", {}, where), {}).for_gpu(config.cluster.gpu);
  config.scheduler = config.engine.scheduler;
  config.layout = {.tensor = run.tp, .pipeline = run.pp, .expert = run.ep, .attention_data = run.dp};
  if (copies_attention(run, config)) std::swap(config.layout.tensor, config.layout.attention_data);
  if (config.layout.gpus() != run.gpus) {
    throw InputError(fmt::format("tp x pp x dp = {} GPUs, but the run states {}", config.layout.gpus(), run.gpus));
  }
  check_layout(config.model, config.layout, where);
  config.cluster.nodes = (run.gpus + config.cluster.node.gpus - 1) / config.cluster.node.gpus;
  config.cluster.gpus = run.gpus;
  config.precision = run_precision(run, config.model, config.engine);
  SupportAnswer support = check_support(config.engine, config.cluster.gpu, engine_use(config));
  if (!support.ok() && precision_from_string(run.weights) == Precision::kFp8 && config.precision.weights == Precision::kFp8Block) {
    // Where the engine has no block-scaled kernels, such a run had a checkpoint with one scale per tensor.
    config.precision.weights = config.precision.experts = Precision::kFp8;
    support = check_support(config.engine, config.cluster.gpu, engine_use(config));
  }
  if (!support.ok()) throw InputError(support.refusals.front());
  if (const MoeSpec* moe = config.model.moe(); moe != nullptr) config.routing = benchmark_routing(config.model.family, *moe);
  config.cost_profile = default_cost_profile(data, config.cluster.gpu.id);
  if (sized_for_its_load(run)) size_for_load(run, config);
  // A published run did fit: where the engine's default batch leaves no room for the sampler, its operators had lowered the limit.
  if (config.scheduler.max_batch_requests > kLoweredBatch && !plan_deployment_memory(config).plan.fits) {
    config.scheduler.max_batch_requests = kLoweredBatch;
  }
  return config;
}

RunOutcome simulate_run(const MeasuredRun& run, const Deployment& deployment, std::uint64_t seed, RunEvidence* evidence) {
  const WorkloadConfig workload = run_workload(run);
  const auto source = make_request_source(workload, seed);
  const MeasuredRequests measured{.total = source->total(), .warmup = 0, .closed = source->closed(), .batch = run.mode == LoadMode::kOffline};
  LatencyMetrics latency(measured);
  ThroughputMetrics throughput(measured);
  ObserverList observers({&latency, &throughput});
  StepMetrics steps(1, deployment.kv_room());
  if (evidence != nullptr) observers.add(steps, ObserverList::kSteps);
  ClusterConfig cluster = deployment.cluster(1, RequestRouting::kRoundRobin);
  // A published run did fit its context: operators raise a limit that is shorter.
  std::int32_t& longest = cluster.replica.scheduler.max_context;
  if (longest > 0) longest = std::max(longest, static_cast<std::int32_t>(std::ceil((1.0 + kLockstepSpread) * (run.isl + run.osl))));
  simulate(cluster, deployment.cost(), *source, observers, seed);
  if (latency.of(LatencyMetric::kTtft).count() == 0) {
    throw InputError(fmt::format("no request of {} prompt and {} output tokens fits the {} tokens of KV cache", run.isl, run.osl, deployment.memory().plan.kv_capacity_tokens));
  }
  if (evidence != nullptr) {
    const EngineProfile& engine = deployment.config().engine;
    *evidence = evidence_of(steps, (engine.request_latency + run.isl * engine.request_per_token).value());
    evidence->request_latency_s += evidence->mean_running * engine.request_per_stream.value();
  }
  RunOutcome outcome;
  outcome[static_cast<std::size_t>(RunMetric::kTtft)] = latency.of(LatencyMetric::kTtft).mean() * 1e3;
  if (latency.of(LatencyMetric::kTpot).count() > 0) {
    outcome[static_cast<std::size_t>(RunMetric::kTpot)] = latency.of(LatencyMetric::kTpot).mean() * 1e3;
    outcome[static_cast<std::size_t>(RunMetric::kItl)] = latency.of(LatencyMetric::kItl).mean() * 1e3;
  }
  if (const double rate = throughput.result().output_tokens_seen_per_s; rate > 0) outcome[static_cast<std::size_t>(RunMetric::kOutputTokensPerSecond)] = rate;
  return outcome;
}

}  // namespace moeplan
