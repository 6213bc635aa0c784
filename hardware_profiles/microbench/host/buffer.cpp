#include "host/buffer.hpp"

#include <sys/mman.h>

#include <new>

#include "suite/numerics.hpp"

namespace moeplan::bench {
namespace {
constexpr std::size_t kHugePage = std::size_t{2} << 20;
}

void Buffer::Unmap::operator()(std::byte* p) const { munmap(p, mapped); }

// Mapped, not allocated: the allocator would hand out memory that it has used before in small pages.
Buffer::Buffer(std::size_t bytes) : size_(bytes) {
  const std::size_t rounded = (bytes == 0 ? 1 : bytes + kHugePage - 1) / kHugePage * kHugePage + kHugePage;
  void* memory = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mapping_ = std::unique_ptr<std::byte, Unmap>(static_cast<std::byte*>(memory), Unmap{rounded});
  madvise(memory, rounded, MADV_HUGEPAGE);
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  data_ = mapping_.get() + ((address + kHugePage - 1) / kHugePage * kHugePage - address);
}

void fill_random(std::byte* data, std::size_t bytes, std::uint64_t seed) {
  auto* values = reinterpret_cast<std::uint16_t*>(data);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15U + 0x1234567;
  for (std::size_t i = 0; i < bytes / 2; ++i) {
    // splitmix64; the top 24 bits make a uniform value.
    std::uint64_t z = state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    const float uniform = static_cast<float>(static_cast<std::int32_t>(z >> 40) - (1 << 23)) * 0x1.0p-23F;
    values[i] = to_bf16(uniform);
  }
}

}  // namespace moeplan::bench
