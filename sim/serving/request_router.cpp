#include "serving/request_router.hpp"

#include "base/error.hpp"

namespace moeplan {

std::size_t RequestRouter::pick(std::span<const std::int64_t> outstanding) {
  const std::size_t replicas = outstanding.size();
  MOEPLAN_CHECK(replicas > 0);
  std::size_t chosen = next_;
  if (kind_ == RequestRouting::kLeastOutstandingTokens) {
    for (std::size_t i = 1; i < replicas; ++i) {
      const std::size_t candidate = next_ + i < replicas ? next_ + i : next_ + i - replicas;
      if (outstanding[candidate] < outstanding[chosen]) chosen = candidate;
    }
  }
  next_ = chosen + 1 < replicas ? chosen + 1 : 0;
  return chosen;
}

}  // namespace moeplan
