// Physics over the whole catalogue, as a scenario would run it: real GPUs in their default nodes, with fitted profiles and without, real
// kernels of a real engine but none of its host time, the narrowest tensor width at which the model fits.
//
// Sampling: GPU i meets every model j with (i + j) divisible by kStride, so that each model meets GPUs of every kind and each GPU a share
// of all models, on random shapes of a fixed seed.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "base/random.hpp"
#include "calibration/cost_profile.hpp"
#include "hardware/hardware_catalogue.hpp"
#include "input/catalogue.hpp"
#include "model/layout_check.hpp"
#include "model/model_file.hpp"
#include "study/deployment.hpp"
#include "support/roofline.hpp"
#include "support/study_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kStride = 11;

/// A model that can be simulated, and its routing drawn once.
struct Served {
  ModelSpec model;
  std::unique_ptr<LoadSampler> sampler;
};

std::vector<Served> all_models() {
  std::vector<Served> all;
  for (const std::string& id : catalogue_ids(data().models())) {
    Served served;
    if (!complaint_of([&] { served.model = load_model(data().models() / (id + ".json"), data().schema_folder()); }).empty()) continue;
    // One layer's popularity stands for all: the roofline takes the distinct experts from the step itself.
    const MoeSpec* moe = served.model.moe();
    if (moe != nullptr && !moe->soft_routing)
      served.sampler = make_load_sampler(*moe, 1, default_routing(served.model.family, *moe), {}, 1);
    all.push_back(std::move(served));
  }
  return all;
}

/// The model on the fewest GPUs of the node that hold it, in its own formats; nothing when it does not fit or the engine refuses it.
std::optional<DeploymentConfig> narrowest(const ModelSpec& model, const ClusterSpec& cluster, const EngineProfile& engine) {
  DeploymentConfig config;
  config.model = model;
  config.cluster = cluster;
  config.engine = engine;
  config.scheduler = engine.scheduler;
  config.precision.weights = model.native.weights;
  config.precision.experts = model.native.experts;
  if (!check_support(engine, cluster.gpu, engine_use(config)).ok()) return std::nullopt;
  for (config.layout.tensor = 1; config.layout.tensor <= cluster.node.gpus; config.layout.tensor *= 2) {
    if (!complaint_of([&] { check_layout(model, config.layout, "test"); }).empty()) continue;
    if (plan_deployment_memory(config).plan.fits) return config;
  }
  return std::nullopt;
}

CostInputs inputs_of(const DeploymentConfig& config, const KernelCosts& kernels, const LoadSampler* sampler) {
  CostInputs inputs;
  inputs.model = config.model;
  inputs.gpu = config.cluster.gpu;
  inputs.node = config.cluster.node;
  inputs.layout = config.layout;
  inputs.precision = config.precision;
  // No host time: it would hide a kernel that is too fast.
  inputs.engine = config.engine;
  inputs.engine.host_per_step = inputs.engine.host_per_sequence = inputs.engine.host_per_layer = Seconds(0);
  inputs.kernels = &kernels;
  inputs.sampler = sampler;
  return inputs;
}

StepWork random_work(RandomStream& random) {
  const auto log_uniform = [&](double low, double high) { return std::floor(low * std::pow(high / low, random.uniform())); };
  StepWork work;
  work.decode = random.uniform() < 0.2 ? 0 : log_uniform(1, 300);
  work.context = log_uniform(1, 20000);
  work.prefill = work.decode == 0 || random.uniform() < 0.4 ? log_uniform(1, 8000) : 0;
  return work;
}

void check_steps(const DeploymentCost& cost, RandomStream& random) {
  const CostInputs& in = cost.inputs();
  CAPTURE(in.model.id);
  CAPTURE(in.gpu.id);
  CAPTURE(in.layout.tensor);
  for (const StepWork& drawn :
       {StepWork{.decode = 1, .context = 500, .prefill = 0, .distinct = 0}, random_work(random), random_work(random)}) {
    StepWork work = drawn;
    const PrefillChunk chunk{static_cast<std::int32_t>(work.prefill), 0, true};
    PreparedStep step;
    cost.prepare(static_cast<std::int32_t>(work.decode), {&chunk, work.prefill > 0 ? 1U : 0U}, step);
    const StepOutcome out = cost.evaluate(step, static_cast<std::int64_t>(work.decode * work.context), random);
    work.distinct = out.distinct_experts;
    const Roofline roofline(in, work);
    CAPTURE(work.decode);
    CAPTURE(work.context);
    CAPTURE(work.prefill);
    CHECK(out.seconds >= roofline.memory);
    CHECK(out.seconds >= roofline.compute);
    CHECK(out.seconds < 1e3);
  }
  // Router, norms and scales count here, tiny and not always read through HBM: 1 % of grace.
  const double bytes = active_weight_bytes(in.model, in.precision);
  CHECK(cost.steady_decode(1, 1) >= 0.99 * bytes / in.layout.tensor / in.gpu.memory_bandwidth.value());
}

}  // namespace

TEST_CASE("on every GPU, no step of a model that fits is faster than the roofline") {
  const std::vector<Served> models = all_models();
  REQUIRE(models.size() > 50);
  const EngineProfile vllm = load_engine(data().engines() / "vllm.json", data().schema("engine"));
  RandomStream random(11, "test/shapes");
  std::set<std::string> gpus_met;
  std::set<std::string> models_met;
  const std::vector<std::string> gpu_ids = catalogue_ids(data().gpus());
  for (std::size_t i = 0; i < gpu_ids.size(); ++i) {
    ClusterSpec cluster;
    cluster.gpu = load_gpu(data().gpus() / (gpu_ids[i] + ".json"), data().schema("gpu"));
    if (cluster.gpu.default_node.empty()) continue;
    cluster.node = load_node(data().nodes() / (cluster.gpu.default_node + ".json"), data().schema("node"));
    cluster.gpus = cluster.node.gpus;
    const EngineProfile engine = vllm.for_gpu(cluster.gpu);
    std::vector<KernelCosts> kernels;
    kernels.push_back(KernelCosts::from_datasheet(cluster.gpu));
    const fs::path profile = default_cost_profile(data(), cluster.gpu.id);
    if (!profile.empty()) kernels.push_back(KernelCosts::from_profile(cluster.gpu, profile, engine.kernel_preference, engine.all_reduce));
    for (std::size_t j = kStride - 1 - i % kStride; j < models.size(); j += kStride) {
      const auto config = narrowest(models[j].model, cluster, engine);
      if (!config) continue;
      gpus_met.insert(cluster.gpu.id);
      models_met.insert(config->model.id);
      for (const KernelCosts& k : kernels) check_steps(DeploymentCost(inputs_of(*config, k, models[j].sampler.get())), random);
    }
  }
  MESSAGE(gpus_met.size(), " GPUs, ", models_met.size(), " models");
  CHECK(gpus_met.size() >= 20);
  CHECK(models_met.size() >= 50);
}
