// Kernel times read once and shared: deployments of one study that differ in model, layout, batch or precision run on the same fitted profile,
// and reading one takes tens of milliseconds.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "calibration/cost_profile.hpp"
#include "calibration/kernel_costs.hpp"

namespace moeplan {

/// Owns what it gives out, for as long as it lives. Any number of threads may use it.
class KernelLibrary {
 public:
  /// KernelCosts::from_profile, or from_datasheet for an empty path. Throws what these throw.
  const KernelCosts& find(const GpuSpec& gpu, const std::filesystem::path& profile, const std::vector<std::string>& kernel_preference,
                          const std::vector<std::string>& all_reduce = {});
  /// The fitted profile itself. Throws InputError for a malformed one.
  const CostProfile& profile(const std::filesystem::path& file);

 private:
  template <class Value>
  struct Slot {
    std::once_flag made;
    std::unique_ptr<const Value> value;
  };
  template <class Value>
  using Slots = std::map<std::string, Slot<Value>>;

  std::mutex mutex_;  ///< of the maps; slots guard themselves
  Slots<CostProfile> profiles_;
  Slots<KernelCosts> costs_;
};

}  // namespace moeplan
