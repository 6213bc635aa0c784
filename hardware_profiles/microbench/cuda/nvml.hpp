// Clocks, temperature, power and reasons for throttling, by NVML loaded at run time: a machine without it is measured all the same.
#pragma once

#include "suite/backend.hpp"

namespace moeplan::bench {

/// Of the device at `pci_bus_id` ("00000000:3B:00.0"); "nvml": "not available" where the library or the device is not found.
Health nvml_health(const std::string& pci_bus_id);

/// Names of the bits of a throttle mask, joined by "+"; "none" for 0.
std::string throttle_text(unsigned long long mask);

}  // namespace moeplan::bench
