#include "benchmarks/closed_loop/deployment_files.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/atomic_file.hpp"

namespace moeplan::reference {
namespace {

using Json = nlohmann::ordered_json;

Json model_json(const Setup& setup) {
  const ModelConfig& c = setup.model;
  Json ffn;
  if (c.experts > 0) ffn = {{"kind", "moe"}, {"experts", c.experts}, {"top_k", c.top_k}, {"inter", c.inter}, {"scoring", "softmax"}};
  else ffn = {{"kind", "dense"}, {"inter", c.inter}};
  Json layer = {{"count", c.layers}, {"attention", {{"kind", "full"}, {"heads", c.heads}, {"kv_heads", c.kv_heads}, {"head_dim", c.head_dim}}}, {"ffn", ffn}};
  return {{"id", "reference-" + setup.name}, {"name", "reference engine, " + setup.name}, {"family", "reference"}, {"hidden", c.hidden}, {"vocab", c.vocab},
          {"max_context", 8192}, {"native", {{"weights", "bf16"}, {"experts", "bf16"}}}, {"layers", Json::array({layer})}, {"sources", {"tests/reference_engine"}}};
}

/// No host time, no multiplier: what is predicted rests on the measured kernels alone.
Json engine_json(const EngineConfig& engine) {
  const Json yes = {{"*", "yes"}};
  return {{"id", "reference"},
          {"version", "1"},
          {"scheduler", {{"max_batch_requests", engine.max_batch_requests}, {"max_batch_tokens", engine.max_batch_tokens}, {"chunked_prefill", true}, {"prefill_mode", "mixed"},
                         {"kv_block_tokens", bench::kBlockTokens}, {"memory_fraction", 0.9}, {"admission_output_reserve", 1.0}}},
          {"memory", {{"formula", "fraction_of_total"}, {"runtime_reserve", "0 GiB"}}},
          {"host", {{"per_step", "0 s"}, {"per_sequence", "0 s"}, {"per_layer", "0 s"}, {"request_latency", "0 s"}, {"stream_interval", 1}}},
          {"kernels", {{"multiplier", 1.0}, {"prefill_multiplier", 1.0}, {"experts_in_prefill", 1.0}, {"all_reduce", {"nccl"}}, {"preference", {"onednn", "moeplan"}}, {"expert_communication", "all_to_all"}}},
          {"supports", {{"architectures", yes}, {"features", {{"fused_moe", yes}, {"expert_parallel", yes}, {"attention_data_parallel", yes}, {"pipeline_parallel", yes}, {"mtp", yes}}},
                        {"weights", {{"bf16", yes}, {"fp32", yes}}}, {"experts", Json::object()}, {"kv_cache", {{"bf16", yes}, {"fp32", yes}}}}},
          {"sources", {{"all", "tests/reference_engine: its scheduler's settings"}}}};
}

}  // namespace

std::filesystem::path write_scenario(const std::filesystem::path& folder, const Setup& setup, const std::vector<Request>& requests) {
  std::string trace = "arrival_s,prompt_tokens,output_tokens\n";
  for (const Request& r : requests) trace += fmt::format("{:.9f},{},{}\n", r.arrival, r.prompt_tokens, r.output_tokens);
  write_file(folder / (setup.name + ".trace.csv"), trace);
  Json scenario = {{"name", "reference engine, " + setup.name},
                   {"model", model_json(setup)},
                   {"cluster", {{"node", "./node.json"}}},
                   {"deployment", {{"engine", engine_json(setup.engine)}, {"precision", {{"weights", "bf16"}, {"experts", "bf16"}, {"kv_cache", "bf16"}, {"embeddings", "bf16"}}},
                                   {"cost_profile", "./fitted.json"}}},
                   {"workload", {{"arrivals", {{"process", "trace"}, {"file", setup.name + ".trace.csv"}}}, {"requests", requests.size()}, {"warmup_requests", 0}}}};
  // Random routers know no favourites.
  if (setup.model.experts > 0) scenario["routing"] = {{"popularity", "uniform"}};
  const std::filesystem::path file = folder / (setup.name + ".json");
  write_file(file, scenario.dump(2) + "\n");
  return file;
}

}  // namespace moeplan::reference
