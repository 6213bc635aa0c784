// A whole run with a device that exists only here: tables, resume, interruption, and the files that calibration and simulation read.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "calibration/calibrate.hpp"
#include "hardware/hardware_catalogue.hpp"
#include "suite/measure.hpp"
#include "suite/profile_files.hpp"
#include "suite/table.hpp"
#include "support/input_error.hpp"
#include "support/temporary_folder.hpp"

namespace moeplan::bench {
namespace {

/// 1 TFLOP/s, 100 GB/s, 2 us a call: every case takes exactly that long on its own clock.
struct MadeUpWork final : Work {
  double seconds;
  bool disturbed;
  MadeUpWork(const Case& c, bool d) : seconds(2e-6 + std::max(work_of(c).bytes / 100e9, work_of(c).flops / 1e12)), disturbed(d) {}
  Sample run(int calls) override { return {seconds * calls, disturbed}; }
  std::string framework() const override { return "madeup-1/kernel"; }
};

struct MadeUpDevice final : Backend {
  std::function<void(int)> on_case = [](int) {};
  int cases = 0;
  int busy_from = 0, busy_until = 0;  ///< of the cases prepared, in which others have the processor
  DeviceFacts facts() const override {
    DeviceFacts f;
    f.id = "made-up";
    f.name = "Made Up 1";
    f.vendor = "Nobody";
    f.architecture = "Paper";
    f.memory_type = "none";
    f.memory_bytes = 16e9;
    f.multiprocessors = 8;
    f.software = {{"library", "1.0"}};
    return f;
  }
  Abilities abilities() const override {
    return {{{Op::kCopy, {"bf16"}}, {Op::kGemm, {"bf16"}}, {Op::kMoe, {"bf16"}}, {Op::kAttentionDecode, {"bf16"}}}, true, 1, 1e9};
  }
  std::unique_ptr<Work> prepare(const Case& c) override {
    on_case(++cases);
    if (c.op == Op::kGemm && c.integer("m") == 256) throw Unsupported("256 rows");
    return std::make_unique<MadeUpWork>(c, cases >= busy_from && cases < busy_until);
  }
  std::vector<float> compute(const Problem&) override { return {}; }
  double shortest_sample() const override { return 20e-6; }
};

std::vector<Case> grid_of(const Backend& device) { return make_grid(device.abilities(), {Op::kCopy, Op::kGemm, Op::kMoe, Op::kAttentionDecode}, Extent::kQuick, 1); }

const std::atomic<bool> kNeverStop{false};

}  // namespace

TEST_CASE("a run measures every case once and a second run nothing") {
  const test::TemporaryFolder folder;
  MadeUpDevice device;
  const std::vector<Case> cases = grid_of(device);
  const RunOutcome first = run(device, {cases, folder.path(), 1e-3, false}, kNeverStop);
  CHECK(first.measured + first.skipped.at("256 rows") == static_cast<int>(cases.size()));
  CHECK(first.unsteady == 0);
  const std::string before = test::slurp(folder.path() / "gemm.csv");
  const RunOutcome second = run(device, {cases, folder.path(), 1e-3, false}, kNeverStop);
  CHECK(second.measured == 0);
  CHECK(second.already_there == first.measured);
  CHECK(test::slurp(folder.path() / "gemm.csv") == before);
}

TEST_CASE("a disturbed row is measured again at the end, twice at most, and then stays marked") {
  const test::TemporaryFolder folder;
  MadeUpDevice device;
  std::vector<Case> cases = grid_of(device);
  cases.resize(10);
  device.busy_from = 3;
  device.busy_until = 5;
  const RunOutcome calm = run(device, {cases, folder.path(), 1e-3, false}, kNeverStop);
  CHECK(calm.measured == 10);
  CHECK(calm.unsteady == 0);
  CHECK(device.cases == 10 + 2);
  const test::TemporaryFolder other;
  MadeUpDevice crowded;
  crowded.busy_until = 1000;
  const RunOutcome marked = run(crowded, {cases, other.path(), 1e-3, false}, kNeverStop);
  CHECK(marked.measured == 10);
  CHECK(marked.unsteady == 10);
  CHECK(crowded.cases == 10 * 3);
}

TEST_CASE("a stopped run keeps its rows, and an unfinished line is measured again") {
  const test::TemporaryFolder folder;
  MadeUpDevice device;
  const std::vector<Case> cases = grid_of(device);
  std::atomic<bool> stop{false};
  device.on_case = [&](int n) { stop = n == 15; };
  const RunOutcome stopped = run(device, {cases, folder.path(), 1e-3, false}, stop);
  CHECK(stopped.stopped);
  CHECK(stopped.measured == 15);
  // As if the power had gone in the middle of a row.
  const std::string whole = test::slurp(folder.path() / "copy.csv");
  const std::size_t last = whole.rfind('\n', whole.size() - 2);
  folder.write("copy.csv", whole.substr(0, last + 12));
  device.on_case = [](int) {};
  const RunOutcome resumed = run(device, {cases, folder.path(), 1e-3, false}, kNeverStop);
  CHECK(resumed.already_there == 14);
  CHECK(test::slurp(folder.path() / "copy.csv") == whole);
}

TEST_CASE("a row holds the shape, the time and what it rests on") {
  const test::TemporaryFolder folder;
  {
    Table table(folder.path(), Op::kGemm);
    Summary s;
    s.median = 12.3456e-6;
    s.fastest = 12e-6;
    s.ci95 = 0.0123;
    s.spread = 0.05;
    s.runs = 31;
    s.outliers = 2;
    table.append({Op::kGemm, {"1", "2", "3", "bf16"}}, s, "lib-1/x", "");
  }
  CHECK(test::slurp(folder.path() / "gemm.csv") ==
        "m,n,k,dtype,latency_us,framework,fastest_us,ci95_pct,spread_pct,runs,outliers,disturbed,mark\n"
        "1,2,3,bf16,12.346,lib-1/x,12,1.23,5.00,31,2,0,\n");
  CHECK(Table(folder.path(), Op::kGemm).has({Op::kGemm, {"1", "2", "3", "bf16"}}));
  CHECK_FALSE(Table(folder.path(), Op::kGemm).has({Op::kGemm, {"1", "2", "4", "bf16"}}));
}

TEST_CASE("a table of something else is not touched") {
  const test::TemporaryFolder folder;
  folder.write("gemm.csv", "a,b\n1,2\n");
  CHECK(test::complaint_of([&] { Table(folder.path(), Op::kGemm); }).find("is not a table of this suite") != std::string::npos);
  CHECK(test::slurp(folder.path() / "gemm.csv") == "a,b\n1,2\n");
}

TEST_CASE("measured tables make a profile that calibration and the catalogues read") {
  const test::TemporaryFolder folder;
  MadeUpDevice device;
  run(device, {grid_of(device), folder.path(), 1e-3, false}, kNeverStop);
  const MeasuredPeaks peaks = measured_peaks(folder.path(), 1e6);
  CHECK(peaks.flops.at("bf16") > 0.9e12);
  CHECK(peaks.flops.at("bf16") <= 1e12);
  CHECK(peaks.bandwidth > 95e9);
  CHECK(peaks.bandwidth <= 100e9);

  const std::filesystem::path schemas = std::filesystem::path(MOEPLAN_SOURCE_DIR) / "scenarios/schema";
  RunDescription description;
  description.version = "1";
  folder.write("provenance.json", provenance_json(device.facts(), description, folder.path()));
  const GpuSpec gpu = load_gpu(folder.write("gpu.json", gpu_json(device.facts(), peaks, "2026-01-01")), schemas / "gpu.schema.json");
  const NodeSpec node = load_node(folder.write("node.json", node_json(device.facts(), peaks, "2026-01-01")), schemas / "node.schema.json");
  CHECK(gpu.id == "made-up");
  CHECK(node.gpu == gpu.id);
  CHECK(gpu.default_node == node.id);
  CHECK(node.gpus == 1);

  // Every kernel is 2 us plus its roofline: the fit must find that again.
  for (const ErrorLine& line : error_lines(calibrate(folder.path(), gpu))) {
    CAPTURE(line.operation);
    CHECK(line.form.rows > 0);
    CHECK(line.table.median < 0.06);
  }
}

TEST_CASE("nothing is stated about a device whose products or memory were not measured") {
  const test::TemporaryFolder folder;
  MadeUpDevice device;
  run(device, {make_grid(device.abilities(), {Op::kMoe}, Extent::kQuick, 1), folder.path(), 1e-3, false}, kNeverStop);
  CHECK(gpu_json(device.facts(), measured_peaks(folder.path(), 1e6), "2026-01-01").empty());
}

TEST_CASE("a folder of another device or other software is refused") {
  const test::TemporaryFolder folder;
  MadeUpDevice device;
  DeviceFacts facts = device.facts();
  check_same_device(folder.path(), facts);  // empty: fine
  folder.write("provenance.json", provenance_json(facts, {}, folder.path()));
  check_same_device(folder.path(), facts);
  facts.software["library"] = "2.0";
  CHECK(test::complaint_of([&] { check_same_device(folder.path(), facts); }).find("other software") != std::string::npos);
  facts = device.facts();
  facts.id = "another";
  CHECK(test::complaint_of([&] { check_same_device(folder.path(), facts); }).find("not of 'another'") != std::string::npos);
}

TEST_CASE("sampling ends when the interval is narrow, and goes on while it is not") {
  struct Steps final : Work {
    std::vector<double> pattern;
    std::size_t at = 0;
    Sample run(int) override { return {pattern[at++ % pattern.size()], false}; }
    std::string framework() const override { return ""; }
  };
  Steps steady, wild;
  steady.pattern = {1};
  wild.pattern = {1, 2, 1.5, 3};
  const MeasureLimits limits{.seconds = 1, .target_ci = 0.02, .fewest = 7, .most = 40, .shortest_sample = 1e-3};
  CHECK(measure(steady, limits).runs == 8);
  CHECK(measure(wild, limits).runs == 40);
}

}  // namespace moeplan::bench
