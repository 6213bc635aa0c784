// How long a plan search takes: over a thousand candidates of one mixture-of-experts model, all cores.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "input/json_document.hpp"
#include "study/plan.hpp"

namespace {

using namespace moeplan;
namespace fs = std::filesystem;

/// The buyer's question for DeepSeek-R1 alone.
void search(benchmark::State& state) {
  const DataRoot data{fs::path(MOEPLAN_SOURCE_DIR)};
  const fs::path folder = data.folder() / "scenarios";
  nlohmann::json question = load_json(folder / "buyer-chat.json").root();
  question["search"]["models"] = {"deepseek-r1"};
  for (auto _ : state) {
    const PlanSpace space = lay_out_plan(parse_json(question.dump(), "buyer-chat"), folder, data);
    const PlanAnswer answer = search_plan(space, data, {});
    benchmark::DoNotOptimize(answer.best);
    state.counters["candidates"] = static_cast<double>(space.candidates.size());
    state.counters["simulated"] = static_cast<double>(answer.simulated);
  }
}
BENCHMARK(search)->Name("plan/deepseek_r1_three_gpus")->Unit(benchmark::kSecond)->Iterations(1)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
