// What a device must offer to be measured. Two implementations: the host's processor (oneDNN and own loops) and CUDA.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "suite/grid.hpp"
#include "suite/statistics.hpp"

namespace moeplan::bench {

/// A case that this device or library cannot run: the case is skipped and the reason said. Not an error.
class Unsupported : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// No device of the wanted kind: one line, exit 2.
class NoDevice : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The facts of gpu.json, node.json and provenance.json that no timing tells.
struct DeviceFacts {
  std::string id;            ///< of the profile: "h100-80gb-hbm3", "host-epyc-9354"
  std::string name, vendor, architecture, memory_type;
  double memory_bytes = 0;
  double l2_bytes = 0;       ///< 0: unknown
  double last_level_bytes = 0;  ///< 0: none behind the L2
  int multiprocessors = 0;
  int devices = 1;
  bool host = false;
  std::string node_cpu;
  std::map<std::string, std::string> software;  ///< library -> version
};

/// Clocks, temperature, reasons for throttling: whatever the driver tells, as text for provenance.json; empty where it tells nothing.
using Health = std::map<std::string, std::string>;

/// One prepared case: operands allocated, filled with random values, rotating over more memory than the last-level cache holds.
class Work {
 public:
  virtual ~Work() = default;
  /// Runs `calls` calls, each on the next operands; the time is of all together.
  virtual Sample run(int calls) = 0;
  /// "library-version/kernel" for the table.
  [[nodiscard]] virtual std::string framework() const = 0;
};

/// Inputs of a small case whose result is checked: one vector per operand, meaning and order by operation (verify.cpp).
struct Problem {
  Case shape;
  std::vector<std::vector<float>> operands;
  std::vector<int> experts;  ///< of kMoe and kRouter: chosen experts per (token, choice)
};

class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual DeviceFacts facts() const = 0;
  [[nodiscard]] virtual Abilities abilities() const = 0;
  /// Throws Unsupported.
  virtual std::unique_ptr<Work> prepare(const Case& c) = 0;
  /// The result of the kernel that prepare() times, on given operands. Empty where there is nothing to compute (copies, launches).
  virtual std::vector<float> compute(const Problem& problem) = 0;
  [[nodiscard]] virtual Health health() { return {}; }
  /// The shortest sample that the clock resolves well, seconds: shorter calls are timed several at once.
  [[nodiscard]] virtual double shortest_sample() const = 0;
};

}  // namespace moeplan::bench
