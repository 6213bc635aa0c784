// Page-aligned memory on huge pages where the system grants them, and the arena of random operands that every measured case reads from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace moeplan::bench {

/// Uninitialised bytes at a 2 MiB boundary.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes);
  [[nodiscard]] std::byte* data() const { return data_; }
  template <class T>
  [[nodiscard]] T* as() const { return reinterpret_cast<T*>(data_); }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Unmap {
    std::size_t mapped = 0;
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte, Unmap> mapping_{nullptr, Unmap{}};
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Random values that are finite and within [-1, 1] read as bf16 or as fp32; any bytes are good int8.
void fill_random(std::byte* data, std::size_t bytes, std::uint64_t seed);

}  // namespace moeplan::bench
