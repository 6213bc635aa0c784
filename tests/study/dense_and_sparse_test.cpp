// A sparse model against its dense twin of the same total size, as deployed: Mixtral 8x7B on two H100, and the same model with one FFN as
// wide as the eight experts together. With kernels as measured and from the datasheet.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "study/deployment.hpp"
#include "support/shipped_scenarios.hpp"
#include "support/study_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
using nlohmann::json;

namespace {

/// Mixtral 8x7B in bf16 over two H100 with `profile` kernels.
DeploymentConfig sparse(const std::string& profile) {
  return resolved(with(small_scenario(), "/deployment/cost_profile", json(profile).dump())).deployment;
}

/// The same with one FFN of 8 x 14336.
DeploymentConfig dense_twin(const std::string& profile) {
  DeploymentConfig config = sparse(profile);
  LayerGroup& layer = config.model.layers.front();
  layer.dense_inter = layer.moe.experts * layer.moe.expert_inter;
  layer.ffn = FfnKind::kDense;
  return config;
}

StepOutcome decode_step(const Deployment& deployment, std::int32_t batch, std::int64_t context_each) {
  PreparedStep prepared;
  deployment.cost().prepare(batch, {}, prepared);
  return deployment.cost().expected(prepared, batch * context_each);
}

/// The cluster's GPU written into the scenario, with `factor` times its bandwidth. Its measured kernels stay those of the real one.
json with_bandwidth(const json& scenario, double factor, const std::string& profile) {
  json gpu = json::parse(read_file(data().gpus() / "h100-sxm.json"));
  const GpuSpec real = resolved(scenario).deployment.cluster.gpu;
  gpu["memory_bandwidth"] = std::to_string(real.memory_bandwidth.value() * factor / 1e9) + " GB/s";
  json out = with(scenario, "/deployment/cost_profile", json(profile).dump());
  out["cluster"] = {{"gpu", gpu}, {"node", "hgx-h100"}, {"gpus", 2}};
  return out;
}

constexpr const char* kProfiles[] = {"h100-sxm", "datasheet"};

}  // namespace

TEST_CASE("at batch 1 a sparse model's step follows its active bytes, its dense twin's the total") {
  for (const char* profile : kProfiles) {
    CAPTURE(profile);
    const Deployment moe(sparse(profile));
    const Deployment dense(dense_twin(profile));
    // 12.9 of 46.7 billion weights are active: 12.75e9 x 2 bytes (without the input embedding) over 2 x 3.35 TB/s are 3.81 ms.
    const double bandwidth = 2 * moe.config().cluster.gpu.memory_bandwidth.value();
    const double floor = active_weight_bytes(moe.config().model, moe.config().precision) / bandwidth;
    CHECK(floor == doctest::Approx(3.81e-3).epsilon(0.01));
    const double sparse_time = decode_step(moe, 1, 100).seconds;
    const double dense_time = decode_step(dense, 1, 100).seconds;
    CHECK(sparse_time > floor);
    CHECK(sparse_time < 2.5 * floor);  // host, launches and all-reduces
    CHECK(dense_time > active_weight_bytes(dense.config().model, dense.config().precision) / bandwidth);
    CHECK(dense_time > 2 * sparse_time);
  }
}

TEST_CASE("as the batch grows a sparse model reads all its experts, and loses what it saved") {
  for (const char* profile : kProfiles) {
    CAPTURE(profile);
    const Deployment moe(sparse(profile));
    CHECK(decode_step(moe, 1, 100).distinct_experts == doctest::Approx(2));
    double last = 0;
    for (const std::int32_t batch : {1, 2, 4, 8, 16, 64, 256}) {
      const double distinct = decode_step(moe, batch, 100).distinct_experts;
      CHECK(distinct >= last);
      CHECK(distinct <= 8);
      last = distinct;
    }
    CHECK(last > 7.99);
    // Experts read at batch 64 are 4 times those of batch 1, and so is their time.
    const double growth = decode_step(moe, 64, 100).experts_seconds / decode_step(moe, 1, 100).experts_seconds;
    CHECK(growth > 3);
    CHECK(growth < 6);
  }
}

TEST_CASE("VRAM follows the total of the parameters, not the active ones") {
  DeploymentConfig config = sparse("datasheet");
  const MemorySummary moe = plan_deployment_memory(config);
  const MemorySummary dense = plan_deployment_memory(dense_twin("datasheet"));
  // The twins differ by the router alone: 32 layers x 4096 x 8 weights.
  const double router = 32.0 * 4096 * 8 * 2;
  CHECK(moe.weights.total().as_double() - dense.weights.total().as_double() == doctest::Approx(router).epsilon(1e-6));
  CHECK(moe.weights.total().as_double() == doctest::Approx(moe.parameters.total() * 2 / 2).epsilon(0.001));  // bf16, two GPUs
  config.model.layers.front().moe.top_k = 1;
  CHECK(plan_deployment_memory(config).weights.total() == moe.weights.total());
  CHECK(plan_deployment_memory(config).parameters.active() < moe.parameters.active());
}

TEST_CASE("the KV cache does not know of experts") {
  for (const char* profile : kProfiles) {
    CAPTURE(profile);
    const Deployment moe(sparse(profile));
    const Deployment dense(dense_twin(profile));
    // 32 layers x 2 x 8 heads x 128 x 2 bytes over two GPUs: 65,536 bytes a token on each, 16 tokens a block.
    CHECK(moe.memory().plan.kv_layout.block.value() == 16 * 65536);
    CHECK(dense.memory().plan.kv_layout.block == moe.memory().plan.kv_layout.block);
    for (const std::int32_t batch : {1, 16, 200}) {
      CHECK(decode_step(moe, batch, 3000).attention_seconds == decode_step(dense, batch, 3000).attention_seconds);
    }
  }
}

TEST_CASE("a GPU with more bandwidth is never slower") {
  for (const char* profile : kProfiles) {
    CAPTURE(profile);
    for (const char* model : {"mixtral-8x7b", "llama-3.1-8b", "qwen3-30b-a3b"}) {
      CAPTURE(model);
      const json scenario = with(small_scenario(), "/model", json(model).dump());
      const Deployment slow(resolved(with_bandwidth(scenario, 1.0, profile)).deployment);
      const Deployment fast(resolved(with_bandwidth(scenario, 1.4, profile)).deployment);
      for (const std::int32_t batch : {1, 8, 64, 256}) {
        CHECK(decode_step(fast, batch, 2000).seconds <= decode_step(slow, batch, 2000).seconds);
      }
      CHECK(fast.cost().lone_prefill(2048, 0) <= slow.cost().lone_prefill(2048, 0) * (1 + 1e-12));
    }
  }
}

TEST_CASE("a run on a GPU with more bandwidth ends sooner") {
  const json offline = with(small_scenario(), "/workload/arrivals", R"({"process": "batch"})");
  const Result slow = run_scenario(resolved(with_bandwidth(offline, 1.0, "datasheet")), {});
  const Result fast = run_scenario(resolved(with_bandwidth(offline, 1.4, "datasheet")), {});
  CHECK(fast.duration_s < slow.duration_s);
  CHECK(fast.duration_s > slow.duration_s / 1.4);
}
