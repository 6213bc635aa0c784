// One class per measured operation of the host; all take their operands from the arena in turn.
#pragma once

#include "host/attention.hpp"
#include "host/buffer.hpp"
#include "host/experts.hpp"
#include "suite/backend.hpp"

namespace moeplan::bench {

/// Random bytes that operands are cut from, at scattered places: as a server's weights are, and so that the caches have forgotten a place by the
/// time it comes again.
class Arena {
 public:
  Arena(std::size_t bytes, std::uint64_t seed);
  /// Aligned to 4 KiB. Throws Unsupported when larger than the arena.
  std::byte* take(std::size_t bytes);
  /// Reads 16 MiB (or all there is), as other layers would between two calls of a kernel.
  void sweep();
  [[nodiscard]] std::size_t size() const { return buffer_.size(); }

 private:
  Buffer buffer_;
  std::uint64_t taken_ = 0;
  volatile std::uint64_t swept_ = 0;
};

HostFormat host_format(const std::string& name);
std::unique_ptr<Work> make_host_work(const Case& c, Arena& arena, std::uint64_t seed);
/// The result of the same kernels on given operands.
std::vector<float> compute_on_host(const Problem& problem);

}  // namespace moeplan::bench
