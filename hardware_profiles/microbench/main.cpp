// moeplan-microbench: parses, chooses the backend, verifies, measures, writes. The only place of the suite that prints results and picks exit codes
// (0, 2 input or no device, 3 internal or a kernel that computes wrongly).
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "host/host_backend.hpp"
#include "suite/measure.hpp"
#include "suite/options.hpp"
#include "suite/profile_files.hpp"
#ifdef MOEPLAN_WITH_CUDA
#include "cuda/cuda_backend.hpp"
#endif

namespace {

using namespace moeplan;
using namespace moeplan::bench;

std::atomic<bool> stop_wanted{false};
void on_interrupt(int) { stop_wanted = true; }

std::string now_text() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

std::unique_ptr<Backend> make_backend(const Options& options) {
  if (options.backend == BackendKind::kHost) {
    HostOptions host;
    host.threads = options.threads > 0 ? options.threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    host.seed = options.seed;
    return make_host_backend(host);
  }
#ifdef MOEPLAN_WITH_CUDA
  return make_cuda_backend(options.seed);
#else
  throw NoDevice("built without the CUDA toolkit: only --backend host is there");
#endif
}

void write_profile(const Options& options, Backend& backend, const RunDescription& run) {
  const DeviceFacts facts = backend.facts();
  // Rows smaller than a quarter of the last cache could have been served by it.
  const MeasuredPeaks peaks = measured_peaks(options.out, 1e6);
  write_file(options.out / "provenance.json", provenance_json(facts, run, options.out));
  const std::string gpu = gpu_json(facts, peaks, run.finished.substr(0, 10)), node = node_json(facts, peaks, run.finished.substr(0, 10));
  if (gpu.empty() || node.empty()) {
    fmt::print(stderr, "moeplan-microbench: no gpu.json and node.json yet: they need rows of copy and gemm\n");
    return;
  }
  write_file(options.out / "gpu.json", gpu);
  write_file(options.out / "node.json", node);
}

void print_summary(const Options& options, const RunOutcome& outcome, const std::vector<Verification>& verification) {
  const auto passed = std::count_if(verification.begin(), verification.end(), [](const Verification& v) { return v.passed(); });
  fmt::print("{} rows measured, {} were there, {} marked unsteady; {} checks against float64 passed\n", outcome.measured, outcome.already_there, outcome.unsteady, passed);
  for (const auto& [reason, cases] : outcome.skipped) fmt::print("{} shapes left out: {}\n", cases, reason);
  if (outcome.stopped) fmt::print("stopped; the same command goes on from here\n");
  fmt::print("next: moeplan calibrate {0} --gpu {0}/gpu.json -o FITTED.json\n", options.out.string());
}

int measure_all(const Options& options) {
  const std::unique_ptr<Backend> backend = make_backend(options);
  std::vector<Case> cases = make_grid(backend->abilities(), options.ops, options.extent, options.seed);
  if (options.dry_run) {
    fmt::print("{}", dry_run_text(cases));
    return 0;
  }
  if (options.check) {
    const std::vector<Verification> verification = verify(*backend, cases, options.seed);
    fmt::print("{}", verification_text(verification));
    return leave_out_wrong(verification, cases).empty() ? 0 : 3;
  }
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  if (error) throw InputError(options.out.string(), "cannot be made: " + error.message());
  check_same_device(options.out, backend->facts());
  RunDescription run;
  run.version = MOEPLAN_VERSION;
  run.extent = options.extent == Extent::kFull ? "full" : "quick";
  run.seed = options.seed;
  run.started = now_text();
  run.before = backend->health();
  run.verification = verify(*backend, cases, options.seed);
  const std::vector<std::string> wrong = leave_out_wrong(run.verification, cases);
  for (const std::string& line : wrong) fmt::print(stderr, "moeplan-microbench: {}\n", line);
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  const auto start = std::chrono::steady_clock::now();
  const RunOutcome outcome = bench::run(*backend, {cases, options.out, options.seconds, isatty(STDERR_FILENO) != 0}, stop_wanted);
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  run.complete = !outcome.stopped;
  run.finished = now_text();
  run.after = backend->health();
  write_profile(options, *backend, run);
  print_summary(options, outcome, run.verification);
  return wrong.empty() ? 0 : 3;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse_options(std::vector<std::string>(argv + 1, argv + argc));
    if (options.help) fmt::print("{}", help_text());
    else if (options.version) fmt::print("moeplan-microbench {}\n", MOEPLAN_VERSION);
    else if (options.list) fmt::print("{}", list_text());
    else return measure_all(options);
    return 0;
  } catch (const NoDevice& error) {
    fmt::print(stderr, "moeplan-microbench: {}\n", error.what());
    return 2;
  } catch (const InputError& error) {
    fmt::print(stderr, "moeplan-microbench: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "moeplan-microbench: internal error: {}\n", error.what());
    return 3;
  }
}
