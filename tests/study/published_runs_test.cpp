// What a published run leaves open: the limits of a throughput benchmark, and the split of GPUs that PCIe connects.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "hardware/hardware_catalogue.hpp"
#include "study/validation.hpp"
#include "support/study_fixture.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

/// Llama 3.1 70B in fp8 on one H100 under TensorRT-LLM, all requests queued at once.
MeasuredRun throughput_run(int isl, int osl, const std::string& version) {
  MeasuredRun run;
  run.id = "r";
  run.model = "llama-3.1-70b";
  run.gpu = "h100-sxm";
  run.engine = "trtllm";
  run.engine_version = version;
  run.weights = "fp8";
  run.mode = LoadMode::kOffline;
  run.isl = isl;
  run.osl = osl;
  return run;
}

MeasuredRun four_cards(const std::string& model, const std::string& gpu) {
  MeasuredRun run = throughput_run(1000, 1000, "1.0");
  run.model = model;
  run.gpu = gpu;
  run.weights = "nvfp4";
  run.gpus = run.tp = 4;
  run.states_split = false;
  return run;
}

}  // namespace

TEST_CASE("a throughput run of TensorRT-LLM has limits made for its lengths, other runs the engine's") {
  const SchedulerConfig defaults = load_engine(data().engines() / "trtllm.json", {}).scheduler;
  for (const char* version : {"0.17", "0.20", "1.0", "post-1.0", ""}) {
    CAPTURE(version);
    const SchedulerConfig even = run_deployment(throughput_run(128, 128, version), data()).scheduler;
    CHECK(even.memory_fraction == 0.95);
    // About 11 of 80 GB are free for tokens of 164 kB: some 60,000, which are 234 requests of 256 tokens and 14 of 4,224.
    CHECK(even.max_batch_requests >= 192);
    CHECK(even.max_batch_requests <= 320);
    CHECK(even.max_batch_tokens == 2048);
    const SchedulerConfig longer = run_deployment(throughput_run(128, 4096, version), data()).scheduler;
    CHECK(longer.max_batch_requests == 64);
    // A prompt is not cut.
    CHECK(run_deployment(throughput_run(20'000, 2000, version), data()).scheduler.max_batch_tokens == 20'000);
  }
  MeasuredRun online = throughput_run(128, 128, "1.0");
  online.mode = LoadMode::kClosed;
  online.concurrency = 8;
  for (const MeasuredRun& run : {online, throughput_run(128, 128, "0.14.0"), throughput_run(128, 128, "v0.14"), throughput_run(128, 128, "TensorRT-LLM 0.14")}) {
    const SchedulerConfig other = run_deployment(run, data()).scheduler;
    CHECK(other.memory_fraction == defaults.memory_fraction);
    CHECK(other.max_batch_requests == defaults.max_batch_requests);
    CHECK(other.max_batch_tokens == defaults.max_batch_tokens);
  }
  CHECK(throughput_run(128, 128, "1.0").layout_key() != throughput_run(128, 256, "1.0").layout_key());
  CHECK(throughput_run(128, 128, "1.0").anchor_key() == throughput_run(128, 256, "1.0").anchor_key());
}

TEST_CASE("a throughput run of experts over PCIe that states neither ep nor dp copies attention, any other keeps the width that it states") {
  const ParallelLayout open = run_deployment(four_cards("qwen3-30b-a3b", "rtx-pro-6000-server"), data()).layout;
  CHECK(open.attention_data == 4);
  CHECK(open.tensor == 1);
  CHECK(open.gpus() == 4);
  MeasuredRun stated = four_cards("qwen3-30b-a3b", "rtx-pro-6000-server");
  stated.states_split = true;
  MeasuredRun online = four_cards("qwen3-30b-a3b", "rtx-pro-6000-server");
  online.mode = LoadMode::kClosed;
  online.concurrency = 8;
  for (const MeasuredRun& run : {stated, online, four_cards("qwen3-30b-a3b", "b200-sxm"), four_cards("llama-3.3-70b", "rtx-pro-6000-server")}) {
    CAPTURE(run.model);
    CAPTURE(run.gpu);
    CHECK(run_deployment(run, data()).layout.tensor == 4);
  }
}

TEST_CASE("what a prediction assumes of a run stands in the result and in the summary") {
  MeasuredRun open = four_cards("qwen3-30b-a3b", "rtx-pro-6000-server");
  open.measured[static_cast<std::size_t>(RunMetric::kOutputTokensPerSecond)] = 24'000;
  MeasuredRun stated = open;
  stated.id = "stated";
  stated.states_split = true;
  const Validation v = validate_runs({open, stated}, data(), {});
  const auto rows = nlohmann::json::parse(validation_json(v)).at("rows");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].at("assumed") == "attention data parallelism, as neither ep nor dp is stated");
  CHECK_FALSE(rows[1].contains("assumed"));
  CHECK(validation_summary(v).find("\nassumed 1 x: attention data parallelism, as neither ep nor dp is stated (first: r)\n") != std::string::npos);
  // Four copies of attention exchange less over PCIe than four shares of it.
  CHECK(rows[0].at("predicted").get<double>() > 1.5 * rows[1].at("predicted").get<double>());
}

TEST_CASE("experts of a published run are loaded as by prompts of one kind where the default is that of mixed traffic") {
  const auto sigma = [](const std::string& model, const std::string& weights) {
    MeasuredRun run = four_cards(model, "b200-sxm");
    run.weights = weights;
    return run_deployment(run, data()).routing.sigma;
  };
  CHECK(sigma("qwen3-30b-a3b", "nvfp4") == 0.77);  // default 0.51
  CHECK(sigma("deepseek-r1", "nvfp4") == 1.07);    // its own
  CHECK(sigma("mixtral-8x7b", "fp8") == 0.13);     // 8 experts, five corpora alike
}

TEST_CASE("a run states its split with ep, dp or both") {
  const std::string header =
      "id,suite,model,gpu,gpus,engine,engine_version,tp,ep,pp,dp,weights,kv_cache,mode,concurrency,request_rate_per_s,isl,osl,length_low,"
      "ttft_ms,tpot_ms,itl_ms,output_tok_s,quality,source,notes\n";
  const auto row = [](const std::string& id, const std::string& ep, const std::string& dp) {
    return id + ",t,qwen3-30b-a3b,b200-sxm,4,trtllm,1.0,4," + ep + ",," + dp + ",nvfp4,,offline,,,1000,1000,1,,,,5000,B,,\n";
  };
  const TemporaryFolder folder;
  const auto runs = read_measured_runs(folder.write("r.csv", header + row("neither", "", "") + row("ep", "1", "") + row("dp", "", "1") + row("both", "1", "1")));
  REQUIRE(runs.size() == 4);
  CHECK_FALSE(runs[0].states_split);
  CHECK(runs[0].ep == 1);
  CHECK(runs[0].dp == 1);
  for (const std::size_t i : {1, 2, 3}) CHECK(runs[i].states_split);
}
