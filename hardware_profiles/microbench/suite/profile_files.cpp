#include "suite/profile_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "suite/table.hpp"

namespace moeplan::bench {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

std::string rate_text(double per_second, const char* unit) {
  if (per_second >= 1e12) return fmt::format("{:.4g} T{}", per_second / 1e12, unit);
  return fmt::format("{:.4g} G{}", per_second / 1e9, unit);
}

std::string mebibytes(double bytes) { return fmt::format("{:.0f} MiB", bytes / 1048576); }

/// The key of gpu.json's `dense` for a number format of the tables.
std::string dense_key(const std::string& format) {
  if (format == "nvfp4" || format == "mxfp4") return "fp4";
  return format == "fp8_block" ? "fp8" : format;
}

Json source_list(const DeviceFacts& facts, const std::string& date) {
  std::string software;
  for (const auto& [name, version] : facts.software) software += fmt::format("{}{} {}", software.empty() ? "" : ", ", name, version);
  return Json::array({fmt::format("moeplan-microbench on this device, {} ({}): peaks are the fastest rates measured, not a vendor's", date, software)});
}

std::string node_id(const DeviceFacts& facts) { return facts.id + "-node"; }

std::vector<Op> tables_in(const fs::path& folder) {
  std::vector<Op> ops;
  for (const OpInfo& op : operations()) {
    if (fs::exists(folder / (std::string(op.name) + ".csv"))) ops.push_back(op.op);
  }
  return ops;
}

}  // namespace

MeasuredPeaks measured_peaks(const fs::path& folder, double least_bytes) {
  MeasuredPeaks peaks;
  for (const Op op : tables_in(folder)) {
    if (op != Op::kCopy && op != Op::kGemm) continue;
    const Table table(folder, op);
    for (const Case& c : table.cases()) {
      const Workload work = work_of(c);
      const double seconds = table.fastest().at(c.key());
      if (!(seconds > 0)) continue;
      if (op == Op::kGemm) {
        double& peak = peaks.flops[dense_key(format_of(c))];
        peak = std::max(peak, work.flops / seconds);
      }
      const bool linked = op == Op::kCopy && c.text("op") != "read" && c.text("op") != "copy";
      if (linked) {
        double& link = c.text("op") == "peer" ? peaks.peer_link : peaks.host_link;
        if (c.text("op") != "both_ways") link = std::max(link, work.bytes / seconds);
      } else if (work.bytes >= least_bytes) {
        peaks.bandwidth = std::max(peaks.bandwidth, work.bytes / seconds);
      }
    }
  }
  return peaks;
}

std::string gpu_json(const DeviceFacts& facts, const MeasuredPeaks& peaks, const std::string& date) {
  const bool wide = peaks.flops.contains("bf16") || peaks.flops.contains("fp16") || peaks.flops.contains("fp32");
  if (!wide || !(peaks.bandwidth > 0)) return "";
  Json json;
  json["id"] = facts.id;
  json["name"] = facts.name;
  json["vendor"] = facts.vendor;
  json["architecture"] = facts.architecture;
  json["memory"] = mebibytes(facts.memory_bytes);
  json["memory_type"] = facts.memory_type;
  json["memory_bandwidth"] = rate_text(peaks.bandwidth, "B/s");
  for (const auto& [format, rate] : peaks.flops) json["dense"][format] = rate_text(rate, "FLOPS");
  json["scale_up_type"] = facts.host ? "memory" : peaks.peer_link > 0 ? "measured between two devices" : "PCIe";
  const double link = peaks.peer_link > 0 ? peaks.peer_link : peaks.host_link > 0 ? peaks.host_link : peaks.bandwidth;
  json["scale_up_bandwidth"] = rate_text(link, "B/s");
  if (peaks.host_link > 0) json["pcie_bandwidth"] = rate_text(peaks.host_link, "B/s");
  if (facts.l2_bytes > 0) json["l2_cache"] = mebibytes(facts.l2_bytes);
  if (facts.last_level_bytes > 0) json["last_level_cache"] = mebibytes(facts.last_level_bytes);
  if (facts.multiprocessors > 0) json["multiprocessors"] = facts.multiprocessors;
  json["default_node"] = node_id(facts);
  json["sources"] = source_list(facts, date);
  return json.dump(2) + "\n";
}

std::string node_json(const DeviceFacts& facts, const MeasuredPeaks& peaks, const std::string& date) {
  Json json;
  json["id"] = node_id(facts);
  json["gpu"] = facts.id;
  json["gpus"] = facts.devices;
  const bool single = facts.devices == 1;
  const double link = peaks.peer_link > 0 ? peaks.peer_link : peaks.host_link;
  if (!single && !(link > 0)) return "";
  json["topology"] = single ? "single" : "switch";
  if (!single) json["scale_up_bandwidth"] = rate_text(link, "B/s");
  if (peaks.host_link > 0) json["pcie_bandwidth"] = rate_text(peaks.host_link, "B/s");
  if (!facts.node_cpu.empty()) json["cpu"] = facts.node_cpu;
  json["sources"] = source_list(facts, date);
  if (!single) json["notes"] = "links between devices are taken as alike; copy.csv has every pair";
  return json.dump(2) + "\n";
}

std::string provenance_json(const DeviceFacts& facts, const RunDescription& run, const fs::path& folder) {
  Json json;
  json["device"] = facts.name;
  json["gpu"] = facts.id;
  json["measured_by"] = "moeplan-microbench " + run.version;
  json["latency"] = "microseconds; median of the undisturbed samples";
  json["cold_operands"] = true;
  json["sustained"] = true;  // one row after another: the clocks of continuous load
  json["software"] = facts.software;
  json["started"] = run.started;
  json["finished"] = run.finished;
  json["run"] = {{"extent", run.extent}, {"seed", run.seed}, {"seconds", run.seconds}, {"complete", run.complete}};
  json["health_before"] = run.before;
  json["health_after"] = run.after;
  for (const Verification& v : run.verification) {
    json["verification"].push_back({{"operation", info(v.shape.op).name}, {"shape", v.shape.key()}, {"error", v.error}, {"tolerance", v.tolerance}});
  }
  for (const Op op : tables_in(folder)) {
    const Table table(folder, op);
    json["files"][std::string(info(op).name) + ".csv"] = {{"rows", table.cases().size()}, {"marked", table.unsteady()}, {"kernels", table.frameworks()}};
  }
  return json.dump(1) + "\n";
}

void check_same_device(const fs::path& folder, const DeviceFacts& facts) {
  const fs::path file = folder / "provenance.json";
  std::ifstream stream(file);
  if (!stream) return;
  const Json json = Json::parse(stream, nullptr, false);
  if (json.is_discarded() || !json.contains("gpu") || !json.contains("software")) throw InputError(file.string(), "is not of this suite; name another --out folder");
  if (json["gpu"] != facts.id) {
    throw InputError(folder.string(), fmt::format("holds measurements of '{}', not of '{}'; name another --out folder", json["gpu"].dump(), facts.id));
  }
  if (json["software"] != Json(facts.software)) throw InputError(folder.string(), "was measured with other software; name another --out folder");
}

}  // namespace moeplan::bench
