// The processor as the measured device: oneDNN products, own attention and expert loops, memory reads and copies. Memory is the machine's; there is
// one device, so nothing is exchanged.
#pragma once

#include "suite/backend.hpp"

namespace moeplan::bench {

struct HostOptions {
  int threads = 1;
  std::uint64_t seed = 1;
  std::size_t arena_bytes = 0;  ///< operands rotate over this much; 0: three times the last-level cache, at least 512 MiB
};

std::unique_ptr<Backend> make_host_backend(const HostOptions& options);

}  // namespace moeplan::bench
