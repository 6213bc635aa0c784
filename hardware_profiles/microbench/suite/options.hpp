// The command line of moeplan-microbench.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "suite/grid.hpp"

namespace moeplan::bench {

enum class BackendKind : std::uint8_t { kHost, kCuda };

struct Options {
  BackendKind backend = BackendKind::kCuda;
  std::vector<Op> ops;
  Extent extent = Extent::kQuick;
  double seconds = 120;
  std::filesystem::path out;
  bool list = false, dry_run = false, check = false, help = false, version = false;
  std::uint64_t seed = 1;
  int threads = 0;  ///< host backend; 0: one per processor
};

/// Throws InputError for unknown words, both extents, or a missing --out.
Options parse_options(const std::vector<std::string>& words);
std::string help_text();
/// What --list prints.
std::string list_text();
/// What --dry-run prints: every case with its bytes and operations.
std::string dry_run_text(const std::vector<Case>& cases);

}  // namespace moeplan::bench
