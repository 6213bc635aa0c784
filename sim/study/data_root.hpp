// Where the catalogues lie: --data DIR, $MOEPLAN_DATA, beside the binary's install prefix, or the source tree it was built from.
#pragma once

#include <filesystem>
#include <string>

namespace moeplan {

/// Paths of the catalogues below one folder that holds `hardware_profiles/` and `scenarios/`.
class DataRoot {
 public:
  explicit DataRoot(std::filesystem::path folder) : folder_(std::move(folder)) {}
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] std::filesystem::path gpus() const { return folder_ / "hardware_profiles/gpus"; }
  [[nodiscard]] std::filesystem::path nodes() const { return folder_ / "hardware_profiles/nodes"; }
  [[nodiscard]] std::filesystem::path engines() const { return folder_ / "hardware_profiles/engines"; }
  [[nodiscard]] std::filesystem::path measured() const { return folder_ / "hardware_profiles/measured"; }
  [[nodiscard]] std::filesystem::path fitted() const { return folder_ / "hardware_profiles/fitted"; }
  [[nodiscard]] std::filesystem::path prices() const { return folder_ / "hardware_profiles/prices.csv"; }
  [[nodiscard]] std::filesystem::path error_model() const { return folder_ / "hardware_profiles/error_model.json"; }
  [[nodiscard]] std::filesystem::path models() const { return folder_ / "scenarios/models"; }
  [[nodiscard]] std::filesystem::path workloads() const { return folder_ / "scenarios/workloads"; }
  [[nodiscard]] std::filesystem::path routing() const { return folder_ / "scenarios/routing"; }
  [[nodiscard]] std::filesystem::path result_schemas() const { return folder_ / "reports/schema"; }
  [[nodiscard]] std::filesystem::path schema_folder() const { return folder_ / "scenarios/schema"; }
  [[nodiscard]] std::filesystem::path schema(const std::string& name) const { return folder_ / "scenarios/schema" / (name + ".schema.json"); }
  /// `file` relative to the root where it lies inside, else its name alone: results never show a machine's paths.
  [[nodiscard]] std::string display(const std::filesystem::path& file) const;

 private:
  std::filesystem::path folder_;
};

/// Finds the catalogues. `chosen` (from --data) wins, then $MOEPLAN_DATA, then `share/moeplan` beside the executable's folder, then the folders
/// above the executable, then `built_from`. Throws InputError naming what was tried.
DataRoot find_data_root(const std::string& chosen, const std::filesystem::path& built_from);

}  // namespace moeplan
