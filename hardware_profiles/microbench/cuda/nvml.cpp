#include "cuda/nvml.hpp"

#include <dlfcn.h>

#include <memory>

namespace moeplan::bench {
namespace {

// The few entry points and numbers of NVML's stable interface that are needed: its header is not part of every toolkit.
using Device = void*;
constexpr int kSuccess = 0;
constexpr unsigned kSmClock = 1, kMemoryClock = 2, kGpuTemperature = 0;

struct Close {
  void operator()(void* library) const { dlclose(library); }
};

template <class Function>
Function* symbol(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

}  // namespace

std::string throttle_text(unsigned long long mask) {
  static constexpr std::pair<unsigned long long, const char*> kReasons[] = {
      {0x1, "idle"}, {0x2, "clocks_setting"}, {0x4, "power_cap"}, {0x8, "hardware_slowdown"}, {0x10, "sync_boost"}, {0x20, "software_thermal"}, {0x40, "hardware_thermal"},
      {0x80, "power_brake"}, {0x100, "display_clock"}};
  std::string text;
  for (const auto& [bit, name] : kReasons) {
    if ((mask & bit) != 0) text += (text.empty() ? "" : "+") + std::string(name);
  }
  return text.empty() ? "none" : text;
}

Health nvml_health(const std::string& pci_bus_id) {
  const std::unique_ptr<void, Close> library(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL));
  if (!library) return {{"nvml", "not available"}};
  void* const nvml = library.get();
  auto* const init = symbol<int()>(nvml, "nvmlInit_v2");
  auto* const shutdown = symbol<int()>(nvml, "nvmlShutdown");
  auto* const by_bus = symbol<int(const char*, Device*)>(nvml, "nvmlDeviceGetHandleByPciBusId_v2");
  if (init == nullptr || shutdown == nullptr || by_bus == nullptr || init() != kSuccess) return {{"nvml", "not available"}};
  Health health;
  Device device = nullptr;
  if (by_bus(pci_bus_id.c_str(), &device) == kSuccess) {
    unsigned value = 0;
    unsigned long long mask = 0;
    if (auto* const clock = symbol<int(Device, unsigned, unsigned*)>(nvml, "nvmlDeviceGetClockInfo"); clock != nullptr) {
      if (clock(device, kSmClock, &value) == kSuccess) health["sm_clock_mhz"] = std::to_string(value);
      if (clock(device, kMemoryClock, &value) == kSuccess) health["memory_clock_mhz"] = std::to_string(value);
    }
    if (auto* const heat = symbol<int(Device, unsigned, unsigned*)>(nvml, "nvmlDeviceGetTemperature"); heat != nullptr && heat(device, kGpuTemperature, &value) == kSuccess) {
      health["temperature_c"] = std::to_string(value);
    }
    if (auto* const power = symbol<int(Device, unsigned*)>(nvml, "nvmlDeviceGetPowerUsage"); power != nullptr && power(device, &value) == kSuccess) {
      health["power_mw"] = std::to_string(value);
    }
    if (auto* const reasons = symbol<int(Device, unsigned long long*)>(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons"); reasons != nullptr && reasons(device, &mask) == kSuccess) {
      health["throttle"] = throttle_text(mask);
    }
    char driver[96] = {};
    if (auto* const version = symbol<int(char*, unsigned)>(nvml, "nvmlSystemGetDriverVersion"); version != nullptr && version(driver, sizeof driver) == kSuccess) {
      health["driver"] = driver;
    }
  }
  shutdown();
  if (health.empty()) health["nvml"] = "does not know the device";
  return health;
}

}  // namespace moeplan::bench
