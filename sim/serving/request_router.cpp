#include "serving/request_router.hpp"

#include "base/error.hpp"

namespace moeplan {

std::size_t RequestRouter::pick(std::span<const std::int64_t> outstanding) {
  const std::size_t replicas = outstanding.size();
  MOEPLAN_CHECK(replicas > 0);
  if (next_ >= replicas) next_ = 0;
  std::size_t chosen = next_;
  if (kind_ == RequestRouting::kPowerOfTwo && replicas > 1) {
    // Mitzenmacher 2001: the shorter of two queues drawn without putting back.
    const auto n = static_cast<std::uint32_t>(replicas);
    const std::size_t one = random_.below(n);
    const std::size_t step = 1 + random_.below(n - 1);
    const std::size_t other = (one + step) % replicas;
    chosen = outstanding[other] < outstanding[one] ? other : one;
  } else if (kind_ == RequestRouting::kLeastOutstandingTokens || kind_ == RequestRouting::kPrefixAware) {
    for (std::size_t i = 1; i < replicas; ++i) {
      const std::size_t candidate = next_ + i < replicas ? next_ + i : next_ + i - replicas;
      if (outstanding[candidate] < outstanding[chosen]) chosen = candidate;
    }
  }
  next_ = chosen + 1 < replicas ? chosen + 1 : 0;
  return chosen;
}

std::string_view to_string(RequestRouting kind) {
  switch (kind) {
    case RequestRouting::kRoundRobin: return "round_robin";
    case RequestRouting::kLeastOutstandingTokens: return "least_outstanding_tokens";
    case RequestRouting::kPrefixAware: return "prefix_aware";
    case RequestRouting::kPowerOfTwo: return "power_of_two";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::optional<RequestRouting> request_routing(std::string_view name) {
  for (const RequestRouting kind : {RequestRouting::kRoundRobin, RequestRouting::kLeastOutstandingTokens, RequestRouting::kPrefixAware,
                                    RequestRouting::kPowerOfTwo}) {
    if (to_string(kind) == name) return kind;
  }
  return std::nullopt;
}

}  // namespace moeplan
