// What /proc and sysfs tell about the machine.
#pragma once

#include "suite/backend.hpp"

namespace moeplan::bench {

DeviceFacts host_facts(int threads);
/// Bytes of the last-level data cache; 32 MiB where the system does not say.
std::size_t last_level_cache();
/// Clock and load as the system shows them now.
Health host_health();
/// Times the kernel took a processor from this process, so far.
long preemptions();
/// "AMD EPYC 9354 32-Core Processor" -> "amd-epyc-9354-32-core-processor".
std::string id_from(const std::string& name);

}  // namespace moeplan::bench
