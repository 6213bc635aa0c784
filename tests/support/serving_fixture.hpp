// One replica or cluster under test, with round numbers: KV blocks of one byte, so that capacity counts blocks.
#pragma once

#include "serving/cluster.hpp"
#include "support/fake_sources.hpp"
#include "support/fake_step_cost.hpp"
#include "support/recording_observer.hpp"

namespace moeplan::testing {

constexpr SimTime seconds(std::int64_t s) { return SimTime(s * 1'000'000'000); }

/// `blocks` KV blocks of 4 tokens; token budget 8 in mixed chunked steps.
inline ClusterConfig small_cluster(std::int64_t blocks = 1000) {
  ClusterConfig config;
  config.replica.scheduler.max_batch_requests = 16;
  config.replica.scheduler.max_batch_tokens = 8;
  config.replica.kv_layout.block_tokens = 4;
  config.replica.kv_layout.block = Bytes(1);
  config.replica.kv_layout.block_past_window = Bytes(1);
  config.replica.kv_capacity = Bytes(blocks);
  return config;
}

inline RecordingObserver run(const ClusterConfig& config, const StepCost& cost, RequestSource& source, std::uint64_t seed = 1) {
  RecordingObserver observer;
  simulate(config, cost, source, observer, seed);
  return observer;
}

}  // namespace moeplan::testing
