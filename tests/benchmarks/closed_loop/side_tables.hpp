// The suite's tables taken again beside the engine's runs. A shared machine changes its speed by more than the marks within minutes: what is compared
// must have been measured at the same time.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "suite/backend.hpp"

namespace moeplan::reference {

class SideTables {
 public:
  /// `measured`: what moeplan-microbench left; tells the device. Passes go to `out`/pass-1, pass-2, ...
  SideTables(std::filesystem::path measured, std::filesystem::path out, int threads, double seconds_per_pass);
  /// Measures products, experts and attention in bf16 at the suite's --quick shapes.
  void pass();
  /// Calibrates `out`/fitted.json from the tables as they came, or from the last two passes together (rows of one shape are averaged).
  void fit_measured() const;
  void fit_last_two() const;
  /// "pass 1 +2 %, ...": median time of a pass's rows over those of the tables as they came.
  [[nodiscard]] std::string drift() const;

 private:
  void fit(const std::filesystem::path& tables) const;
  [[nodiscard]] std::filesystem::path folder_of(int pass) const;
  std::filesystem::path measured_, out_;
  double seconds_;
  std::unique_ptr<bench::Backend> backend_;
  std::vector<bench::Case> cases_;
  int passes_ = 0;
};

}  // namespace moeplan::reference
