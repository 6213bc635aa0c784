// The load balancer in front of the replicas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/random.hpp"

namespace moeplan {

enum class RequestRouting : std::uint8_t {
  kRoundRobin,
  kLeastOutstandingTokens,  ///< fewest prompt tokens to compute plus output tokens to make; ties go round
  kPrefixAware,             ///< the same, counting the new prompt without the tokens that the replica has in its prefix cache
  kPowerOfTwo,              ///< the one with fewer outstanding tokens of two drawn at random
};
std::string_view to_string(RequestRouting kind);
std::optional<RequestRouting> request_routing(std::string_view name);

class RequestRouter {
 public:
  RequestRouter(RequestRouting kind, std::uint64_t seed) : kind_(kind), random_(seed, "request router") {}

  /// Whether pick() looks at the state of the replicas.
  [[nodiscard]] bool reads_state() const { return kind_ != RequestRouting::kRoundRobin; }
  /// Whether the load that pick() is shown counts the prompt tokens that a replica would have to compute.
  [[nodiscard]] bool reads_prefixes() const { return kind_ == RequestRouting::kPrefixAware; }
  /// The replica that takes the next request. `outstanding`: tokens per replica (only its length matters to round-robin), not empty; it may
  /// have another length than last time.
  std::size_t pick(std::span<const std::int64_t> outstanding);

 private:
  RequestRouting kind_;
  RandomStream random_;
  std::size_t next_ = 0;
};

}  // namespace moeplan
