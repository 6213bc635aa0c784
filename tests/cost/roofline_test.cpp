// No step is faster than its GPU's roofline.
#include "support/roofline.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "cost/deployment_cost.hpp"
#include "hardware/hardware_catalogue.hpp"
#include "model/model_file.hpp"
#include "support/cost_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

void check_step(const DeploymentCost& cost, StepWork work) {
  const PrefillChunk chunk{static_cast<std::int32_t>(work.prefill), 0, true};
  PreparedStep step;
  cost.prepare(static_cast<std::int32_t>(work.decode), {&chunk, work.prefill > 0 ? 1u : 0u}, step);
  RandomStream random(9, "test/routing");
  const StepOutcome out = cost.evaluate(step, static_cast<std::int64_t>(work.decode * work.context), random);
  work.distinct = out.distinct_experts;
  const Roofline roofline(cost.inputs(), work);
  CAPTURE(cost.inputs().model.id);
  CAPTURE(cost.inputs().gpu.id);
  CAPTURE(cost.inputs().layout.tensor);
  CAPTURE(cost.inputs().layout.expert);
  CAPTURE(work.decode);
  CAPTURE(work.context);
  CAPTURE(work.prefill);
  REQUIRE(out.seconds >= roofline.memory);
  REQUIRE(out.seconds >= roofline.compute);
  REQUIRE(out.seconds < 1e4);
}

StepWork random_work(RandomStream& random) {
  const auto log_uniform = [&](double low, double high) { return std::floor(low * std::pow(high / low, random.uniform())); };
  StepWork work;
  work.decode = random.uniform() < 0.2 ? 0 : log_uniform(1, 600);
  work.context = log_uniform(1, 30000);
  work.prefill = work.decode == 0 || random.uniform() < 0.4 ? log_uniform(1, 9000) : 0;
  return work;
}

std::vector<std::filesystem::path> json_files(const char* folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(MOEPLAN_SOURCE_DIR) / folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

TEST_CASE("random steps of several layouts stay above the roofline") {
  RandomStream random(1, "test/shapes");
  const ModelSpec models[] = {dense_model(), moe_model(), latent_model(), moe_model(64, 6, 1408)};
  const ParallelLayout layouts[] = {layout(1, 1, 1, 1), layout(8, 1, 1, 1), layout(8, 1, 8, 1), layout(1, 1, 8, 8), layout(2, 2, 4, 2)};
  for (const ModelSpec& model : models) {
    for (const ParallelLayout& parallel : layouts) {
      for (const Precision precision : {Precision::kBf16, Precision::kFp8Block}) {
        CostBench bench(model, parallel);
        bench.inputs.precision.weights = bench.inputs.precision.experts = precision;
        const DeploymentCost cost(bench.inputs);
        for (int i = 0; i < 12; ++i) check_step(cost, random_work(random));
      }
    }
  }
}

TEST_CASE("batch-1 decode takes at least its active bytes over the bandwidth") {
  for (const ModelSpec& model : {dense_model(), moe_model(), latent_model()}) {
    const CostBench bench(model);
    const DeploymentCost cost(bench.inputs);
    const double active = count_parameters(model).active_excluding_input_embedding(model.tied_embeddings);
    CHECK(cost.steady_decode(1, 1) >= 0.999 * active * 2 / 3e12);  // norms and router scores: below 0.1 %
  }
}

TEST_CASE("every model of the catalogue stays above the roofline of the GPUs it meets") {
  const std::filesystem::path root = MOEPLAN_SOURCE_DIR;
  const std::vector<std::filesystem::path> models = json_files("scenarios/models");
  const std::vector<std::filesystem::path> gpus = json_files("hardware_profiles/gpus");
  REQUIRE(models.size() > 50);
  REQUIRE(gpus.size() > 20);
  RandomStream random(2, "test/shapes");
  std::size_t met = 0;
  for (std::size_t i = 0; i < models.size(); ++i) {
    ModelSpec model;
    try {
      model = load_model(models[i], root / "scenarios/schema");
    } catch (const InputError&) {
      continue;  // refused with a reason: the model floor's tests say which
    }
    // One layer's popularity stands for all: the roofline takes the distinct experts from the step itself.
    const MoeSpec* moe = model.moe();
    const bool routed = moe != nullptr && !moe->soft_routing;
    const std::unique_ptr<LoadSampler> sampler = routed ? make_load_sampler(*moe, 1, {}, {}, 7) : nullptr;
    for (int j = 0; j < 3; ++j) {
      CostBench bench(dense_model(), {}, {}, load_gpu(gpus[met++ % gpus.size()], {}));
      bench.inputs.model = model;
      bench.inputs.sampler = sampler.get();
      bench.inputs.precision.weights = model.native.weights;
      bench.inputs.precision.experts = model.native.experts;
      const DeploymentCost cost(bench.inputs);
      check_step(cost, {.decode = 1, .context = 1000, .prefill = 0, .distinct = 0});
      check_step(cost, random_work(random));
    }
  }
  CHECK(met >= 3 * 50);
}
