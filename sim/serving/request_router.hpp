// The load balancer in front of the replicas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace moeplan {

enum class RequestRouting : std::uint8_t {
  kRoundRobin,
  kLeastOutstandingTokens,  ///< fewest prompt tokens to compute plus output tokens to make; ties go round
};

class RequestRouter {
 public:
  explicit RequestRouter(RequestRouting kind) : kind_(kind) {}

  /// Whether pick() looks at the state of the replicas.
  [[nodiscard]] bool reads_state() const { return kind_ == RequestRouting::kLeastOutstandingTokens; }
  /// The replica that takes the next request. `outstanding`: tokens per replica (only its length matters to round-robin), not empty.
  std::size_t pick(std::span<const std::int64_t> outstanding);

 private:
  RequestRouting kind_;
  std::size_t next_ = 0;
};

}  // namespace moeplan
