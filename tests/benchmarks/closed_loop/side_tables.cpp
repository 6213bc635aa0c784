#include "benchmarks/closed_loop/side_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "calibration/calibrate.hpp"
#include "hardware/hardware_catalogue.hpp"
#include "host/host_backend.hpp"
#include "input/csv.hpp"
#include "study/data_root.hpp"
#include "suite/grid.hpp"
#include "suite/measure.hpp"
#include "suite/verify.hpp"

namespace moeplan::reference {
namespace {

namespace fs = std::filesystem;
using bench::Op;

const std::vector<Op> kOps = {Op::kGemm, Op::kMoe, Op::kAttentionDecode, Op::kAttentionPrefill, Op::kElementwise};

constexpr int kRounds = 2;  // of all rows in a pass: what slows the machine for a moment must not fall on all samples of a row

/// What the engine's models run, of the suite's shapes: the fewer rows, the more samples each.
bool of_the_engine(const bench::Case& c) {
  if (bench::format_of(c) != "bf16") return false;
  if (c.op == Op::kGemm) return c.integer("k") == 1024;
  if (c.op == Op::kElementwise) return c.integer("hidden") == 1024;
  if (c.op == Op::kMoe) return c.integer("hidden") == 1024 && c.integer("inter") == 512;
  return c.integer("heads") == 16;
}

fs::path table(const fs::path& folder, Op op) { return folder / (std::string(bench::info(op).name) + ".csv"); }

/// Microseconds of each row by its values.
std::map<std::string, double> rows_of(const fs::path& folder, Op op) {
  std::map<std::string, double> rows;
  if (!fs::exists(table(folder, op))) return rows;
  CsvReader csv(table(folder, op));
  const std::size_t latency = csv.column("latency_us");
  while (csv.next()) {
    std::string key;
    for (std::size_t i = 0; i < latency; ++i) key += std::string(csv.text(i)) + ",";
    rows[key] = csv.number(latency);
  }
  return rows;
}

}  // namespace

SideTables::SideTables(fs::path measured, fs::path out, int threads, double seconds_per_pass)
    : measured_(std::move(measured)), out_(std::move(out)), seconds_(seconds_per_pass), backend_(bench::make_host_backend({.threads = threads})) {
  for (bench::Case& c : bench::make_grid(backend_->abilities(), kOps, bench::Extent::kQuick, 1)) {
    if (of_the_engine(c)) cases_.push_back(std::move(c));
  }
  fs::create_directories(out_);
  for (const char* name : {"gpu.json", "node.json"}) fs::copy_file(measured_ / name, out_ / name, fs::copy_options::overwrite_existing);
}

fs::path SideTables::folder_of(int round) const { return out_ / fmt::format("round-{}", round); }

void SideTables::pass() {
  const std::atomic<bool> never{false};
  for (int round = 0; round < kRounds; ++round) {
    const fs::path folder = folder_of(++rounds_);
    fs::remove_all(folder);
    fs::create_directories(folder);
    bench::run(*backend_, {cases_, folder, seconds_ / kRounds, false}, never);
  }
}

void SideTables::fit(const fs::path& tables) const {
  const GpuSpec device = load_gpu(out_ / "gpu.json", find_data_root("", MOEPLAN_SOURCE_DIR).schema("gpu"));
  write_file(out_ / "fitted.json", to_json(calibrate(tables, device)));
}

void SideTables::fit_measured() const { fit(measured_); }

void SideTables::fit_last_two() const {
  MOEPLAN_CHECK(rounds_ >= 2 * kRounds);
  const fs::path both = out_ / "tables";
  fs::create_directories(both);
  fs::copy_file(measured_ / "provenance.json", both / "provenance.json", fs::copy_options::overwrite_existing);
  for (const Op op : kOps) {
    std::string text;
    for (int round = rounds_ - 2 * kRounds + 1; round <= rounds_; ++round) {
      std::ifstream stream(table(folder_of(round), op));
      std::string line;
      std::getline(stream, line);
      if (text.empty()) text = line + "\n";
      while (std::getline(stream, line)) text += line + "\n";
    }
    write_file(table(both, op), text);
  }
  fit(both);
}

std::string SideTables::drift() const {
  std::string text;
  for (int round = 1; round <= rounds_; ++round) {
    std::vector<double> ratios;
    for (const Op op : kOps) {
      const auto then = rows_of(measured_, op), now = rows_of(folder_of(round), op);
      for (const auto& [key, microseconds] : now) {
        if (const auto found = then.find(key); found != then.end()) ratios.push_back(microseconds / found->second);
      }
    }
    if (ratios.empty()) continue;
    std::sort(ratios.begin(), ratios.end());
    text += fmt::format("{}round {} {:+.0f} %", text.empty() ? "" : ", ", round, 100 * (ratios[ratios.size() / 2] - 1));
  }
  return text;
}

}  // namespace moeplan::reference
