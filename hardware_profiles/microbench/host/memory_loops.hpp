// Reading and copying memory as fast as the processor can: several streams at once, all threads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace moeplan::bench {

/// Reads `bytes`; the result depends on all of them.
std::uint64_t read_memory(const std::byte* from, std::size_t bytes);
void copy_memory(const std::byte* from, std::byte* to, std::size_t bytes);

}  // namespace moeplan::bench
