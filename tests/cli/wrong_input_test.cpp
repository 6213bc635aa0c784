// What users get wrong: each gives one line on stderr that names file and place, nothing on stdout, and exit code 2.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "support/shipped_scenarios.hpp"

using namespace moeplan::test;

namespace {

using Parts = std::vector<std::string>;

void check_refusal(const Outcome& outcome, const Parts& parts) {
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.out == "");
  CHECK(outcome.err.starts_with("moeplan: "));
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  CHECK(outcome.err.ends_with("\n"));
  for (const std::string& part : parts) {
    CAPTURE(part);
    CHECK(outcome.err.find(part) != std::string::npos);
  }
}

/// The default scenario with one value replaced, and what its refusal must say.
struct Wrong {
  const char* pointer;
  const char* value;
  Parts parts;
};

void check_scenarios(const std::vector<Wrong>& table) {
  const Program program;
  for (const Wrong& wrong : table) {
    CAPTURE(wrong.pointer);
    CAPTURE(wrong.value);
    const std::string file = program.write("s.json", with(small_scenario(), wrong.pointer, wrong.value).dump(1));
    Parts parts = wrong.parts;
    parts.insert(parts.begin(), "s.json: ");
    check_refusal(program.run({"simulate", file}), parts);
  }
}

/// A scenario file's whole text.
void check_text(const std::string& text, const Parts& parts) {
  const Program program;
  CAPTURE(text);
  check_refusal(program.run({"simulate", program.write("s.json", text)}), parts);
}

}  // namespace

TEST_CASE("unknown ids name the nearest known ones") {
  check_scenarios({{"/model", R"("mixtral-8x7")", {"/model: unknown model 'mixtral-8x7'", "'mixtral-8x7b'"}},
                   {"/model", R"("zzz")", {"unknown model 'zzz'", "the nearest of", "moeplan catalog models lists all"}},
                   {"/model", R"("models/none.json")", {"no such model file"}},
                   {"/cluster/node", R"("hgx-h10")", {"/cluster/node: unknown node", "'hgx-h100'"}},
                   {"/cluster", R"({"gpu": "h100-sxn"})", {"/cluster/gpu: unknown GPU", "'h100-sxm'"}},
                   {"/deployment/engine", R"("vlm")", {"/deployment/engine: unknown engine", "'vllm'"}},
                   {"/deployment/cost_profile", R"("h100-sx")", {"unknown cost profile", "'h100-sxm'"}},
                   {"/workload", R"("azure-conv")", {"/workload: unknown workload", "'azure-conversation'"}}});
}

TEST_CASE("unknown keys name the nearest known ones") {
  check_scenarios({{"/sed", "1", {"unknown key 'sed'", "'seed'"}},
                   {"/cluster/gpuss", "1", {"/cluster/gpuss", "'gpus'"}},
                   {"/deployment/replica", "1", {"/deployment/replica", "'replicas'"}},
                   {"/deployment/parallel/tensors", "1", {"/deployment/parallel/tensors", "'tensor'"}},
                   {"/deployment/precision/weight", R"("fp8")", {"/deployment/precision/weight", "'weights'"}},
                   {"/deployment/scheduler/max_batch_request", "1", {"/deployment/scheduler/max_batch_request", "'max_batch_requests'"}},
                   {"/routing/sgma", "1", {"/routing/sgma", "'sigma'"}},
                   {"/workload/request", "1", {"/workload/request", "'requests'"}},
                   {"/workload/arrivals/rates", "1", {"/workload/arrivals/rates", "'rate'"}},
                   {"/workload/prompt_tokens/hig", "1", {"/workload/prompt_tokens/hig", "'high'"}},
                   {"/cost/rentl", R"("1 USD/h")", {"/cost/rentl", "'rental'"}},
                   {"/objectives/ttft_p9", R"("1 s")", {"/objectives: unknown objective 'ttft_p9'", "'ttft_p90'"}},
                   {"/objectives/latency_p99", R"("1 s")", {"unknown objective", "accepted: ttft, tpot"}},
                   {"/objectives/ttft_p10", R"("1 s")", {"unknown objective 'ttft_p10'"}}});
}

TEST_CASE("quantities need a unit that means one thing") {
  check_scenarios({{"/workload/arrivals/rate", "8", {"/workload/arrivals/rate: found 8", "'8 /s'"}},
                   {"/workload/arrivals/rate", R"("8")", {"/workload/arrivals/rate: found '8' (no unit)"}},
                   {"/objectives/ttft_p99", "2", {"/objectives/ttft_p99: found 2 without a unit"}},
                   {"/objectives/ttft_p99", R"("2 m")", {"two things", "minutes", "milliseconds"}},
                   {"/deployment/scheduler/runtime_reserve", R"("2 G")", {"two things", "GB", "GiB"}},
                   {"/cost", R"({"rental": "1.69"})", {"/cost/rental: found '1.69' (no unit)", "USD/h"}},
                   {"/cost", R"({"rental": "1.69 EUR/h"})", {"unknown unit 'EUR/h'"}},
                   {"/cost", R"({"owned": {"capex": "1000", "years": 3}})", {"/cost/owned/capex"}}});
}

TEST_CASE("negative and absurd numbers are refused") {
  check_scenarios({{"/workload/arrivals/rate", R"("-8 /s")", {"'-8 /s' (negative)"}},
                   {"/workload/arrivals/rate", R"("0 /s")", {"/workload/arrivals/rate: found 0;"}},
                   {"/workload/arrivals/rate", R"("1e99 /s")", {"found 1e+99; accepted: more than 0 /s"}},
                   {"/workload/arrivals/rate", R"("1e-9 /s")", {"95 years"}},
                   {"/workload/requests", "-1", {"/workload/requests: found -1"}},
                   {"/workload/requests", "1000000000000000000", {"/workload/requests"}},
                   {"/workload/warmup_requests", "40", {"/workload/warmup_requests: found 40 of 40 requests"}},
                   {"/workload/prompt_tokens/low", "-1", {"/workload/prompt_tokens/low: found -1"}},
                   {"/workload/prompt_tokens/low", "2000", {"/workload/prompt_tokens: low 2000 is above high 1024"}},
                   {"/objectives/ttft_p99", R"("-2 s")", {"/objectives/ttft_p99: found '-2 s' (negative)"}},
                   {"/deployment/parallel/tensor", "0", {"/deployment/parallel/tensor: found 0"}},
                   {"/deployment/scheduler/memory_fraction", "1.5", {"/deployment/scheduler/memory_fraction: found 1.5"}},
                   {"/routing/sigma", "-1", {"/routing/sigma: found -1"}},
                   {"/seed", "-1", {"/seed: found -1"}}});
}

TEST_CASE("prices that are not known or stated twice are refused, naming what is known") {
  check_scenarios(
      {{"/cost", R"({"rental": {"provider": "Lambada"}})", {"/cost/rental: no price of 'h100-sxm' by provider 'Lambada'", "Lambda", "RunPod"}},
       {"/cost", R"({"rental": {"kind": "weekly"}})", {"/cost/rental: no price of 'h100-sxm' of the kind 'weekly'", "rental_on_demand"}},
       {"/cost", R"({"rental": {"kind": "spot", "provider": "Lambda"}})", {"of the kind 'spot' is known by 'Lambda'; listed: rental_on_demand"}},
       {"/cost", R"({"rental": {"prices": {"b200-sxm": "5 USD/h"}}})", {"/cost/rental: no rental price of 'h100-sxm' is stated; stated: b200-sxm"}},
       {"/cost", R"({"rental": {"prices": {"h100-sxm": "5"}}})", {"/cost/rental/prices/h100-sxm: found '5' (no unit)"}},
       {"/cost", R"({"owned": {"capex": {"hgx-b200": "400000 USD"}, "years": 4}})", {"/cost/owned/capex: capex states neither", "hgx-h100"}},
       {"/cost", R"({"owned": {"capex": "1 USD", "years": 4, "pue": 1.2}, "power": {"pue": 1.3}})", {"/cost/power/pue: also stated as owned.pue"}},
       {"/cost", R"({"rental": "auto", "power": {"gpu_idle": "900 W", "gpu_load": "600 W"}})", {"/cost/power: gpu_idle is more than gpu_load"}},
       {"/cost", R"({"rental": "auto", "api": {"input": "0.5 USD", "output": "1 USD/Mtok"}})", {"/cost/api/input", "two things", "USD/Mtok"}},
       {"/cost", R"({"rental": "auto", "api": {"input": "0 USD/Mtok", "output": "0 USD/Mtok"}})", {"/cost/api: a hosted model that costs nothing"}},
       {"/cost", R"({"rental": "auto", "staff": -0.1})", {"/cost/staff: found -0.1"}}});
  const Program program;
  nlohmann::json scenario = with(small_scenario(), "/cluster", R"({"node": "hgx-h800", "gpus": 2})");
  scenario["cost"] = {{"rental", "auto"}};
  check_refusal(program.run({"simulate", program.write("s.json", scenario.dump())}),
                {"/cost/rental: no rental price of 'h800-sxm' is known", "state one", "listed: a10, ", "h100-sxm"});
  check_refusal(program.run({"catalog", "prices", "h100-sxn"}), {"no price of 'h100-sxn'", "'h100-sxm'"});
}

TEST_CASE("layouts must divide the model and fit the cluster") {
  check_scenarios(
      {{"/deployment/parallel/tensor", "3", {"/deployment/parallel/tensor", "does not divide the 32 attention heads", "2, 4"}},
       {"/deployment/parallel", R"({"tensor": 16, "expert": 16})", {"/deployment/parallel/expert", "does not divide the 8 experts"}},
       {"/deployment/parallel", R"({"pipeline": 64})", {"/deployment/parallel/pipeline", "32 layers"}},
       {"/cluster/gpus", "9", {"/cluster/gpus: 9 GPUs asked of a cluster of 8"}},
       {"/deployment/replicas", "2", {"/deployment: 2 replicas x 2 GPUs", "need 4 GPUs, but the cluster offers 2"}},
       {"/cluster", R"({"node": "hgx-h100", "gpu": "h200-sxm"})", {"/cluster: node 'hgx-h100' holds 'h100-sxm'"}}});
}

TEST_CASE("what the model, the GPU or the engine cannot do is refused with the reason") {
  check_scenarios(
      {{"/workload/prompt_tokens",
        R"({"distribution": "fixed", "value": 40000})",
        {"/workload/prompt_tokens: 100 % of the prompts do not fit the context of 32768", "32768"}},
       {"/workload",
        R"({"arrivals": {"process": "batch"}, "classes": [{"name": "a", "prompt_tokens": {"distribution": "fixed", "value": 40000},
                                    "output_tokens": {"distribution": "fixed", "value": 4}}]})",
        {"/workload: 100 % of the prompts do not fit"}},
       {"/deployment/scheduler/max_context", "400000", {"/deployment/scheduler/max_context", "32768"}},
       {"/deployment/precision/kv_cache", R"("int4")", {"/deployment: vllm on h100-sxm", "int4 KV cache"}},
       {"/deployment/precision/weights", R"("fp7")", {"/deployment/precision/weights: found 'fp7'", "'fp8'"}}});
  const Program program;
  check_refusal(program.run({"simulate", program.write("s.json", with(small_scenario(), "/model", R"("switch-base-128")").dump())}),
                {"switch-base-128", "encoder-decoder"});
}

TEST_CASE("values of the wrong kind say which kind is accepted") {
  check_scenarios(
      {{"/model", "3", {"/model: found 3, accepted: a string or an object"}},
       {"/workload", "null", {"/workload: found null"}},
       {"/deployment/replicas", R"("2")", {"/deployment/replicas: found '2', accepted: an integer"}},
       {"/deployment/parallel/tensor", "1.5", {"/deployment/parallel/tensor: found 1.5, accepted: an integer"}},
       {"/deployment/scheduler/chunked_prefill", R"("yes")", {"/deployment/scheduler/chunked_prefill", "a boolean"}},
       {"/workload/arrivals", R"({"process": "poison", "rate": "1 /s"})", {"/workload/arrivals/process: found 'poison'", "'poisson'"}},
       {"/workload/arrivals", R"({"rate": "1 /s"})", {"/workload/arrivals: missing key 'process'"}},
       {"/workload/prompt_tokens", R"({"distribution": "fix"})", {"/workload/prompt_tokens/distribution: found 'fix'", "'fixed'"}},
       {"/routing", R"({"popularity": "lognormal"})", {"/routing: missing key 'sigma'"}},
       {"/deployment/scheduler/prefill_mode", R"("mix")", {"'mixed', 'separate'"}},
       {"/cluster", R"({"gpu": {"id": "x"}})", {"/cluster/gpu: missing key"}},
       {"/cost", R"({"rental": "auto", "owned": {"capex": "1 USD", "years": 3}})", {"/cost: state"}}});
}

TEST_CASE("broken files are refused with line and column") {
  check_text("{\n \"model\": \"x\",,\n}", {"s.json:2:15: not valid JSON"});
  check_text("{\"model\": \"x\"", {"s.json:1:14: not valid JSON"});
  check_text("{\n \"model\": \"x\",\n \"model\": \"y\"}", {"s.json:3:2: duplicate key 'model'"});
  check_text("", {"s.json:1:1: not valid JSON"});
  check_text("{\"model\": NaN}", {"s.json:1:11: not valid JSON"});
  check_text("[]", {"s.json: found an array, accepted: an object"});
  check_text("{\"model\": \"mixtral-8x7b\"}", {"s.json: missing key 'cluster'"});
}

TEST_CASE("traces are refused with file and line") {
  const Program program;
  const std::string header = "arrival_s,prompt_tokens,output_tokens\n";
  const std::vector<std::pair<std::string, Parts>> table = {
      {"", {"t.csv:1: the trace is empty"}},
      {header, {"t.csv:1: the trace has no requests"}},
      {header + "0,10,10\n1,x,10\n", {"t.csv:3: column 'prompt_tokens': found 'x'"}},
      {header + "0,10,10\n1,10\n", {"t.csv:3: found 2 fields"}},
      {header + "5,10,10\n1,10,10\n", {"t.csv:3: arrives at 1"}},
      {header + "0,-10,10\n", {"t.csv:2", "-10"}},
      {"a,b\n1,2\n", {"t.csv:1: not a request trace"}},
      {"{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 3}\n{\n", {"t.csv:2: not a JSON object"}}};
  const std::string scenario =
      program.write("s.json", with(small_scenario(), "/workload", R"({"arrivals": {"process": "trace", "file": "t.csv"}})").dump());
  check_refusal(program.run({"simulate", scenario}), {"/workload/arrivals/file: no file 't.csv' in '" + program.folder().string() + "', nor in the data folder '"});
  for (const auto& [text, parts] : table) {
    CAPTURE(text);
    program.write("t.csv", text);
    check_refusal(program.run({"simulate", scenario}), parts);
  }
  program.write("t.csv", header + "0,10,10\n");
  const std::string many = program.write(
      "s.json", with(small_scenario(), "/workload", R"({"arrivals": {"process": "trace", "file": "t.csv"}, "requests": 2})").dump());
  check_refusal(program.run({"simulate", many}), {"s.json: /workload/requests: 2 requests of a trace of 1", "repeat"});
}

TEST_CASE("files that are none are refused by name") {
  const Program program;
  check_refusal(program.run({"simulate", "none.json"}), {"none.json: no such file"});
  check_refusal(program.run({"simulate", "."}), {".: is a directory"});
  check_refusal(program.run({"memory", "none.json"}), {"none.json: no such file"});
  check_refusal(program.run({"validate", "none.csv"}), {"none.csv"});
}

TEST_CASE("a workload file's faults name the workload file") {
  const Program program;
  program.write("w.json", R"({"arrivals": {"process": "poisson", "rate": "0 /s"}, "prompt_tokens": {"distribution": "fixed", "value": 10},
                              "output_tokens": {"distribution": "fixed", "value": 10}})");
  const std::string scenario = program.write("s.json", with(small_scenario(), "/workload", R"("w.json")").dump());
  check_refusal(program.run({"simulate", scenario}), {"w.json: /arrivals/rate: found 0"});
  program.write("w.json", R"({"arrivels": 1})");
  check_refusal(program.run({"simulate", scenario}), {"w.json: /arrivels: unknown key", "'arrivals'"});
}

TEST_CASE("an output that would replace its own input is refused, and the input stays") {
  const Program program;
  const std::string text = small_scenario().dump();
  const std::string scenario = program.write("s.json", text);
  check_refusal(program.run({"simulate", scenario, "--json", scenario}), {"--json: names the input", "would be lost"});
  check_refusal(program.run({"memory", scenario, "--json", scenario}), {"--json: names the input"});
  check_refusal(program.run({"compare", scenario, scenario, "--html", scenario}), {"--html: names the input"});
  CHECK(program.read("s.json") == text);
}

TEST_CASE("expert offload and exact routing exclude each other") {
  const Program program;
  const std::string scenario = program.write("s.json", with(small_scenario(), "/deployment/offload", R"({"resident_share": 0.5})").dump());
  check_refusal(program.run({"simulate", scenario, "--exact-routing"}), {"--exact-routing: fetches of offloaded experts"});
}

TEST_CASE("commands and options are refused with the nearest known ones") {
  const Program program;
  const std::string scenario = program.write("s.json", small_scenario().dump());
  check_refusal(program.run({"simulat"}), {"unknown command 'simulat'", "'simulate'"});
  check_refusal(program.run({"simulate", scenario, "--seeed", "1"}), {"unknown option '--seeed'", "'--seed'"});
  check_refusal(program.run({"simulate"}), {"missing argument", "usage: moeplan simulate SCENARIO.json"});
  check_refusal(program.run({"simulate", scenario, "more"}), {"too many arguments"});
  check_refusal(program.run({"simulate", scenario, "--seed", "x"}), {"--seed"});
  check_refusal(program.run({"simulate", scenario, "--seed", "-1"}), {"--seed: found -1"});
  check_refusal(program.run({"simulate", scenario, "--replications", "0"}), {"--replications: found 0"});
  check_refusal(program.run({"simulate", scenario, "--jobs", "-3"}), {"--jobs: found -3"});
  check_refusal(program.run({"catalog", "nodez"}), {"unknown catalogue 'nodez'", "'nodes'"});
}
