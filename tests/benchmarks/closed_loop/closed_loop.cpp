// Measure -> calibrate -> simulate -> compare, on the processor it is built on: the reference engine runs for about a minute, dense and as a mixture of
// experts with equal active parameters; what it does is predicted from the host microbenchmarks alone.
//
// usage: closed_loop MEASURED_DIR OUT_DIR [SECONDS] [THREADS]; MEASURED_DIR: what `moeplan-microbench --backend host --threads THREADS` left. Its tables are
// taken again beside the engine's runs.
#include <fmt/format.h>

#include <cstdlib>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "benchmarks/closed_loop/loop_report.hpp"
#include "benchmarks/closed_loop/side_tables.hpp"
#include "model/weights.hpp"

namespace {

using namespace moeplan;
using namespace moeplan::reference;
namespace fs = std::filesystem;

constexpr double kLoadShare = 0.55;  // of what the engine can serve

/// 2 of 16 experts of 512, or one FFN of 1024: the same weights are multiplied for a token.
Setup setup_of(bool mixture) {
  Setup s;
  s.name = mixture ? "mixture" : "dense";
  s.model = {.layers = 8, .hidden = 1024, .heads = 16, .kv_heads = 4, .head_dim = 64, .inter = mixture ? 512 : 1024, .experts = mixture ? 16 : 0, .top_k = mixture ? 2 : 0,
             .vocab = 8192, .seed = 1};
  s.engine = {.max_batch_requests = 32, .max_batch_tokens = 256, .kv_blocks = 1024};
  return s;
}

Scenario scenario_of(const Setup& setup, const fs::path& out, const DataRoot& data) {
  // Read back as a user's would be; the requests are put in later.
  return load_scenario(write_scenario(out, setup, {{0, 1, 1}}), data);
}

/// Passes of the suite before and after each of the two runs; predictions rest on the two around a run.
LoopResult run_one(bool mixture, SideTables& tables, const fs::path& out, double seconds, const DataRoot& data) {
  const Setup setup = setup_of(mixture);
  Model model(setup.model);
  LoopResult result;
  result.name = setup.name;
  result.weight_bytes = model.weight_bytes();
  tables.fit_measured();
  const Scenario scenario = scenario_of(setup, out, data);
  const ParameterCount parameters = count_parameters(scenario.deployment.model);
  result.active_parameters = parameters.active();
  result.total_parameters = parameters.total();
  const Deployment guess(scenario.deployment);
  result.steps = measure_steps(model, setup, guess, 0.2 * seconds);
  tables.pass();
  tables.fit_last_two();
  const Deployment now(scenario_of(setup, out, data).deployment);
  predict_steps(now, result.steps);
  result.load = measure_load(model, setup, now, kLoadShare, 0.3 * seconds);
  tables.pass();
  tables.fit_last_two();
  predict_load(setup, out, result.load);
  return result;
}

int run(int argc, char** argv) {
  if (argc < 3) throw InputError("usage: closed_loop MEASURED_DIR OUT_DIR [SECONDS] [THREADS]");
  const fs::path measured = argv[1], out = argv[2];
  const double seconds = argc > 3 ? std::atof(argv[3]) : 60;
  const int threads = argc > 4 ? std::atoi(argv[4]) : 1;
  const DataRoot data = find_data_root("", MOEPLAN_SOURCE_DIR);
  SideTables tables(measured, out, threads, 0.4 * seconds);
  tables.pass();
  const std::vector<LoopResult> results = {run_one(false, tables, out, seconds, data), run_one(true, tables, out, seconds, data)};
  const std::string text = report_text(results) + fmt::format("time of all rows against {}: {}\n", measured.string(), tables.drift());
  fmt::print("{}", text);
  write_file(out / "report.txt", text);
  write_file(out / "steps.csv", steps_csv(results));
  write_file(out / "load.csv", load_csv(results));
  write_file(out / "steps.svg", steps_svg(results));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "closed_loop: {}\n", error.what());
    return 2;
  }
}
