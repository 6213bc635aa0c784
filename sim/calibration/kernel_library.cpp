#include "calibration/kernel_library.hpp"

#include <fmt/format.h>

#include "calibration/kernel_device.hpp"

namespace moeplan {
namespace {

/// Everything that kernel times depend on beside the profile: two GPUs of one name may differ in an inline scenario.
std::string key_of(const GpuSpec& gpu, const std::filesystem::path& profile, const std::vector<std::string>& preference,
                   const std::vector<std::string>& all_reduce) {
  const KernelDevice d = make_kernel_device(gpu);
  return fmt::format("{}|{}|{}|{}|{} {} {} {} {}|{}|{}", profile.string(), gpu.id, fmt::join(preference, ","), fmt::join(all_reduce, ","), d.bandwidth, d.scale_up, d.pcie_fabric,
                     d.l2_bytes, d.multiprocessors, fmt::join(d.peak, ","), fmt::join(d.activation_bytes, ","));
}

}  // namespace

const CostProfile& KernelLibrary::profile(const std::filesystem::path& file) {
  Slot<CostProfile>* slot = nullptr;
  {
    const std::lock_guard lock(mutex_);
    slot = &profiles_[file.string()];
  }
  std::call_once(slot->made, [&] { slot->value = std::make_unique<const CostProfile>(read_cost_profile(file)); });
  return *slot->value;
}

const KernelCosts& KernelLibrary::find(const GpuSpec& gpu, const std::filesystem::path& file, const std::vector<std::string>& preference,
                                       const std::vector<std::string>& all_reduce) {
  Slot<KernelCosts>* slot = nullptr;
  {
    const std::lock_guard lock(mutex_);
    slot = &costs_[key_of(gpu, file, preference, all_reduce)];
  }
  std::call_once(slot->made, [&] {
    slot->value = std::make_unique<const KernelCosts>(file.empty() ? KernelCosts::from_datasheet(gpu)
                                                                   : KernelCosts::from_profile(gpu, profile(file), preference, all_reduce));
  });
  return *slot->value;
}

}  // namespace moeplan
