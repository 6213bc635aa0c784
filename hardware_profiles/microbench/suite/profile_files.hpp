// What a run leaves beside its tables: gpu.json and node.json that `moeplan` reads like catalogue entries, and provenance.json.
#pragma once

#include <filesystem>
#include <optional>

#include "suite/backend.hpp"
#include "suite/verify.hpp"

namespace moeplan::bench {

/// The fastest rates met in the tables of `folder`: peaks that no fitted fraction exceeds.
struct MeasuredPeaks {
  std::map<std::string, double> flops;  ///< number format -> FLOP/s of the fastest dense product
  double bandwidth = 0;                 ///< bytes/s: fastest of reads, copies and products that stream their weights
  double host_link = 0;                 ///< bytes/s, host to device; 0 where not measured
  double peer_link = 0;                 ///< bytes/s between two devices; 0 where not measured
};
/// Rows that move less than `least_bytes` do not count: caches may have served them.
MeasuredPeaks measured_peaks(const std::filesystem::path& folder, double least_bytes);

struct RunDescription {
  std::string version, extent, started, finished;
  std::uint64_t seed = 1;
  double seconds = 0;
  bool complete = true;
  Health before, after;
  std::vector<Verification> verification;
};

/// JSON texts. gpu_json is empty where a product or the memory was not measured: there would be nothing to state.
std::string gpu_json(const DeviceFacts& facts, const MeasuredPeaks& peaks, const std::string& date);
std::string node_json(const DeviceFacts& facts, const MeasuredPeaks& peaks, const std::string& date);
std::string provenance_json(const DeviceFacts& facts, const RunDescription& run, const std::filesystem::path& folder);

/// Throws InputError when `folder` already holds measurements of another device or software.
void check_same_device(const std::filesystem::path& folder, const DeviceFacts& facts);

}  // namespace moeplan::bench
