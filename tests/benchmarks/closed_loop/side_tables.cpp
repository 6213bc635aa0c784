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

const std::vector<Op> kOps = {Op::kGemm, Op::kMoe, Op::kAttentionDecode, Op::kAttentionPrefill};

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
    if (bench::format_of(c) == "bf16") cases_.push_back(std::move(c));
  }
  fs::create_directories(out_);
  for (const char* name : {"gpu.json", "node.json"}) fs::copy_file(measured_ / name, out_ / name, fs::copy_options::overwrite_existing);
}

fs::path SideTables::folder_of(int pass) const { return out_ / fmt::format("pass-{}", pass); }

void SideTables::pass() {
  const fs::path folder = folder_of(++passes_);
  fs::remove_all(folder);
  fs::create_directories(folder);
  const std::atomic<bool> never{false};
  bench::run(*backend_, {cases_, folder, seconds_, false}, never);
}

void SideTables::fit(const fs::path& tables) const {
  const GpuSpec device = load_gpu(out_ / "gpu.json", find_data_root("", MOEPLAN_SOURCE_DIR).schema("gpu"));
  write_file(out_ / "fitted.json", to_json(calibrate(tables, device)));
}

void SideTables::fit_measured() const { fit(measured_); }

void SideTables::fit_last_two() const {
  MOEPLAN_CHECK(passes_ >= 2);
  const fs::path both = out_ / "tables";
  fs::create_directories(both);
  fs::copy_file(measured_ / "provenance.json", both / "provenance.json", fs::copy_options::overwrite_existing);
  for (const Op op : kOps) {
    std::string text;
    for (const int pass : {passes_ - 1, passes_}) {
      std::ifstream stream(table(folder_of(pass), op));
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
  for (int pass = 1; pass <= passes_; ++pass) {
    std::vector<double> ratios;
    for (const Op op : kOps) {
      const auto then = rows_of(measured_, op), now = rows_of(folder_of(pass), op);
      for (const auto& [key, microseconds] : now) {
        if (const auto found = then.find(key); found != then.end()) ratios.push_back(microseconds / found->second);
      }
    }
    if (ratios.empty()) continue;
    std::sort(ratios.begin(), ratios.end());
    text += fmt::format("{}pass {} {:+.0f} %", text.empty() ? "" : ", ", pass, 100 * (ratios[ratios.size() / 2] - 1));
  }
  return text;
}

}  // namespace moeplan::reference
