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
  /// `measured`: what moeplan-microbench left; tells the device. Rows go to `out`/round-1, round-2, ...
  SideTables(std::filesystem::path measured, std::filesystem::path out, int threads, double seconds_per_pass);
  /// Measures products, experts and attention twice over, at those of the suite's --quick shapes that the engine's models run.
  void pass();
  /// Calibrates `out`/fitted.json from the tables as they came, or from the last two passes together (rows of one shape are averaged).
  void fit_measured() const;
  void fit_last_two() const;
  /// "round 1 +2 %, ...": median time of a round's rows over those of the tables as they came.
  [[nodiscard]] std::string drift() const;

 private:
  void fit(const std::filesystem::path& tables) const;
  [[nodiscard]] std::filesystem::path folder_of(int round) const;
  std::filesystem::path measured_, out_;
  double seconds_;
  std::unique_ptr<bench::Backend> backend_;
  std::vector<bench::Case> cases_;
  int rounds_ = 0;
};

}  // namespace moeplan::reference
