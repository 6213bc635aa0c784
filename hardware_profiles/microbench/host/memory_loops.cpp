#include "host/memory_loops.hpp"

#include <algorithm>
#include <cstring>

#include "host/vector_math.hpp"

namespace moeplan::bench {
namespace {

constexpr std::size_t kStreams = 4;             // a page apart: each has a prefetcher of its own
constexpr std::size_t kPage = 4096;
constexpr std::size_t kChunk = kStreams * kPage;
constexpr std::size_t kAhead = 1024;            // bytes asked for before they are read

MOEPLAN_CLONES std::uint64_t read_chunk(const std::byte* from) {
  Words sum[kStreams] = {};
  for (std::size_t i = 0; i < kPage; i += sizeof(Words)) {
    for (std::size_t s = 0; s < kStreams; ++s) {
      Words x;
      std::memcpy(&x, from + s * kPage + i, sizeof x);
      __builtin_prefetch(from + s * kPage + i + kAhead);
      sum[s] ^= x;
    }
  }
  std::uint64_t result = 0;
  for (const Words& part : sum) {
    for (int i = 0; i < kLanes; ++i) result += part[i];
  }
  return result;
}

}  // namespace

std::uint64_t read_memory(const std::byte* from, std::size_t bytes) {
  const auto chunks = static_cast<std::ptrdiff_t>(bytes / kChunk);
  std::uint64_t sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum) if (chunks > 16)
  for (std::ptrdiff_t i = 0; i < chunks; ++i) sum += read_chunk(from + static_cast<std::size_t>(i) * kChunk);
  for (std::size_t i = static_cast<std::size_t>(chunks) * kChunk; i < bytes; i += 64) sum += static_cast<std::uint64_t>(from[i]);
  return sum;
}

void copy_memory(const std::byte* from, std::byte* to, std::size_t bytes) {
  const auto chunks = static_cast<std::ptrdiff_t>((bytes + kChunk - 1) / kChunk);
#pragma omp parallel for schedule(static) if (chunks > 16)
  for (std::ptrdiff_t i = 0; i < chunks; ++i) {
    const std::size_t begin = static_cast<std::size_t>(i) * kChunk;
    std::memcpy(to + begin, from + begin, std::min(kChunk, bytes - begin));
  }
}

}  // namespace moeplan::bench
