#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "base/error.hpp"
#include "hardware/profiles.hpp"
#include "input/catalogue.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"

using namespace moeplan;

namespace {

SupportAnswer ask(const char* engine, const char* gpu, EngineUse use) { return check_support(test::engine(engine), test::gpu(gpu), use); }

EngineUse dense(Precision weights, Precision kv = Precision::kBf16) {
  EngineUse use;
  use.weights = weights;
  use.kv_cache = kv;
  return use;
}

EngineUse moe(Precision weights, Precision experts) {
  EngineUse use = dense(weights);
  use.experts = experts;
  use.moe = true;
  use.expert_parallel = true;
  return use;
}

bool clean(const SupportAnswer& answer) { return answer.refusals.empty() && answer.warnings.empty(); }
bool warned(const SupportAnswer& answer, const std::string& part) {
  return answer.ok() && answer.warnings.size() == 1 && answer.warnings[0].find(part) != std::string::npos;
}
bool refused(const SupportAnswer& answer, const std::string& part) {
  return answer.refusals.size() == 1 && answer.refusals[0].find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every engine profile loads and says where its values come from") {
  const auto ids = catalogue_ids(test::profiles("engines"));
  CHECK(ids == std::vector<std::string>{"ideal", "sglang", "trtllm", "vllm"});
  for (const std::string& id : ids) {
    CAPTURE(id);
    const EngineProfile engine = test::engine(id);
    CHECK(engine.id == id);
    if (id == "ideal") continue;
    CHECK(engine.sources.count("supports") == 1);
    const JsonDocument document = load_json(test::profiles("engines") / (id + ".json"));
    const JsonReader root(document);
    for (const char* group : {"scheduler", "memory", "host", "kernels"}) {
      for (const auto& [field, value] : root.at(group).members()) {
        CAPTURE(field);
        CHECK(engine.sources.count(std::string(group) + "." + field) == 1);
      }
    }
    for (const JsonReader& override_ : root.at("overrides").elements()) CHECK_FALSE(override_.string("source").empty());
  }
}

TEST_CASE("every precision and every architecture of the catalogue has a verdict in every engine") {
  for (const std::string& id : catalogue_ids(test::profiles("engines"))) {
    const EngineProfile engine = test::engine(id);
    for (const std::string& gpu : catalogue_ids(test::profiles("gpus"))) {
      for (const Precision p : kAllPrecisions) {
        CAPTURE(id);
        CAPTURE(gpu);
        const SupportAnswer answer = check_support(engine, test::gpu(gpu), dense(p, p));
        for (const std::string& warning : answer.warnings) CHECK(warning.find("not known to work") == std::string::npos);
      }
    }
  }
}

TEST_CASE("the ideal engine has no overheads") {
  const EngineProfile ideal = test::engine("ideal");
  CHECK(ideal.host_per_step.value() == 0);
  CHECK(ideal.host_per_sequence.value() == 0);
  CHECK(ideal.request_latency.value() == 0);
  CHECK(ideal.runtime_reserve == Bytes(0));
  CHECK(ideal.kernel_multiplier == 1.0);
  CHECK(ideal.for_gpu(test::gpu("b200-sxm")).prefill_kernel_multiplier == 1.0);
  CHECK(clean(ask("ideal", "a100-sxm-80", dense(Precision::kNvfp4))));
}

TEST_CASE("scheduler defaults are those of the engines") {
  const EngineProfile vllm = test::engine("vllm"), sglang = test::engine("sglang"), trtllm = test::engine("trtllm");
  CHECK(vllm.scheduler.prefill_mode == PrefillMode::kMixed);
  CHECK(vllm.scheduler.kv_block_tokens == 16);
  CHECK(vllm.memory_formula == MemoryFormula::kFractionOfTotal);
  CHECK(sglang.scheduler.prefill_mode == PrefillMode::kSeparate);
  CHECK(trtllm.memory_formula == MemoryFormula::kFractionOfFree);
  CHECK(trtllm.scheduler.admission_output_reserve == 1.0);
  CHECK_FALSE(trtllm.scheduler.chunked_prefill);
  CHECK(vllm.host_per_step.value() == doctest::Approx(1.2e-3));
  CHECK(vllm.host_per_sequence.value() == doctest::Approx(12e-6));
  CHECK(vllm.kernel_multiplier == doctest::Approx(1 / 0.94).epsilon(1e-4));
}

TEST_CASE("defaults that depend on the GPU are applied by its memory and generation") {
  const EngineProfile vllm = test::engine("vllm");
  CHECK(vllm.for_gpu(test::gpu("rtx-4090")).scheduler.max_batch_requests == 256);
  CHECK(vllm.for_gpu(test::gpu("rtx-4090")).scheduler.max_batch_tokens == 2048);
  CHECK(vllm.for_gpu(test::gpu("h100-sxm")).scheduler.max_batch_requests == 1024);
  CHECK(vllm.for_gpu(test::gpu("h100-sxm")).scheduler.max_batch_tokens == 8192);
  CHECK(vllm.for_gpu(test::gpu("a100-sxm-80")).scheduler.max_batch_requests == 256);
  CHECK(vllm.for_gpu(test::gpu("h100-sxm")).prefill_kernel_multiplier == 1.0);
  CHECK(vllm.for_gpu(test::gpu("b200-sxm")).prefill_kernel_multiplier == 1.25);
  const EngineProfile sglang = test::engine("sglang");
  CHECK(sglang.for_gpu(test::gpu("l4")).scheduler.max_batch_tokens == 2048);
  CHECK(sglang.for_gpu(test::gpu("l40s")).scheduler.max_batch_tokens == 4096);
  CHECK(sglang.for_gpu(test::gpu("h200-sxm")).scheduler.max_batch_tokens == 8192);
  CHECK(sglang.for_gpu(test::gpu("b200-sxm")).scheduler.max_batch_tokens == 16384);
  const EngineProfile trtllm = test::engine("trtllm");
  CHECK(trtllm.for_gpu(test::gpu("h100-sxm")).expert_comm == ExpertParallelComm::kAllGatherReduceScatter);
  CHECK(trtllm.for_gpu(test::gpu("b200-sxm")).expert_comm == ExpertParallelComm::kNvlinkOneSided);
}

TEST_CASE("fp8 needs FP8 units or a weight-only kernel") {
  CHECK(clean(ask("vllm", "h100-sxm", dense(Precision::kFp8, Precision::kFp8))));
  CHECK(clean(ask("vllm", "l40s", dense(Precision::kFp8))));
  CHECK(clean(ask("vllm", "mi300x", dense(Precision::kFp8))));
  CHECK(warned(ask("vllm", "a100-sxm-80", dense(Precision::kFp8)), "weight-only Marlin"));
  CHECK(refused(ask("trtllm", "a100-sxm-80", dense(Precision::kFp8)), "FP8 needs Ada, Hopper or Blackwell"));
  CHECK(refused(ask("vllm", "mi250x", moe(Precision::kBf16, Precision::kFp8)), "fp8 experts"));
}

TEST_CASE("4-bit floats are native on Blackwell and weight-only or impossible elsewhere") {
  CHECK(clean(ask("trtllm", "b200-sxm", dense(Precision::kNvfp4, Precision::kFp8))));
  CHECK(clean(ask("trtllm", "rtx-pro-6000-server", dense(Precision::kNvfp4))));
  CHECK(warned(ask("vllm", "h100-sxm", dense(Precision::kNvfp4)), "weight-only"));
  CHECK(refused(ask("trtllm", "h100-sxm", dense(Precision::kNvfp4)), "NVFP4 needs Blackwell"));
  CHECK(refused(ask("vllm", "mi355x", dense(Precision::kNvfp4)), "NVIDIA GPUs only"));
  CHECK(clean(ask("vllm", "b200-sxm", moe(Precision::kBf16, Precision::kMxfp4))));
  CHECK(clean(ask("vllm", "mi355x", moe(Precision::kBf16, Precision::kMxfp4))));
  CHECK(warned(ask("vllm", "h100-sxm", moe(Precision::kBf16, Precision::kMxfp4)), "mxfp4 experts: no FP4 units"));
  CHECK(warned(ask("trtllm", "h200-sxm", moe(Precision::kBf16, Precision::kMxfp4)), "weight-only Triton"));
}

TEST_CASE("an engine that does not run on a GPU says so once") {
  const SupportAnswer answer = ask("trtllm", "mi300x", moe(Precision::kFp8, Precision::kFp8));
  REQUIRE(answer.refusals.size() == 1);
  CHECK(answer.refusals[0] == "trtllm on mi300x (CDNA 3), the GPU: TensorRT-LLM runs on NVIDIA GPUs only");
  CHECK(answer.warnings.empty());
  CHECK(refused(ask("sglang", "gaudi3", dense(Precision::kBf16)), "no Gaudi"));
}

TEST_CASE("the precision of experts is not looked at for a dense model") {
  EngineUse use = dense(Precision::kBf16);
  use.experts = Precision::kNvfp4;
  CHECK(clean(ask("trtllm", "h100-sxm", use)));
  use.moe = true;
  CHECK(refused(ask("trtllm", "h100-sxm", use), "nvfp4 experts"));
}

TEST_CASE("a combination that the matrix does not name is allowed with a warning") {
  EngineProfile engine = test::engine("ideal");
  engine.supports.weights.erase(Precision::kInt4);
  const SupportAnswer answer = check_support(engine, test::gpu("h100-sxm"), dense(Precision::kInt4));
  CHECK(warned(answer, "int4 weights: not known to work"));
}

TEST_CASE("a malformed verdict is refused by the schema and by the reader") {
  const auto text = [](const char* verdict) {
    return std::string(R"({"id": "e", "version": "1", "scheduler": {"max_batch_requests": 1, "max_batch_tokens": 1, "chunked_prefill": true, "prefill_mode": "mixed",
      "kv_block_tokens": 1, "memory_fraction": 0.5}, "memory": {"formula": "fraction_of_total", "runtime_reserve": "1 GiB"},
      "host": {"per_step": "1 ms", "per_sequence": "1 us", "per_layer": "0 s", "request_latency": "1 ms"},
      "kernels": {"multiplier": 1, "prefill_multiplier": 1, "all_reduce": ["nccl"], "preference": [], "expert_communication": "all_to_all"},
      "supports": {"architectures": {"*": ")") + verdict + R"("}, "features": {"fused_moe": {"*": "yes"}, "expert_parallel": {"*": "yes"},
      "attention_data_parallel": {"*": "yes"}, "mtp": {"*": "yes"}}, "weights": {}, "kv_cache": {}}, "sources": {}})";
  };
  CHECK_NOTHROW((void)parse_json(text("yes"), "e.json", test::schema("engine")));
  CHECK_THROWS_AS((void)parse_json(text("maybe"), "e.json", test::schema("engine")), InputError);
  const JsonDocument unchecked = parse_json(text("maybe"), "e.json");
  CHECK_THROWS_AS((void)read_engine(JsonReader(unchecked)), InputError);
}

TEST_CASE("the part of host time that several GPUs have is no longer than the whole") {
  const EngineProfile trtllm = test::engine("trtllm");
  CHECK(trtllm.host_per_sequence_across == trtllm.host_per_sequence);
  CHECK(trtllm.sources.count("host.per_sequence_across") == 1);
  CHECK(test::engine("vllm").host_per_sequence_across.value() == 0);
  std::ifstream file(test::profiles("engines") / "trtllm.json");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::string part = "\"per_sequence_across\": \"12 us\"";
  REQUIRE(text.find(part) != std::string::npos);
  text.replace(text.find(part), part.size(), "\"per_sequence_across\": \"13 us\"");
  const JsonDocument longer = parse_json(text, "trtllm.json");
  CHECK_THROWS_AS((void)read_engine(JsonReader(longer)), InputError);
}
