// Requests of several arrival processes merged by time, and conversations, whose later turns come after the answers to the earlier ones.
// Internal to the request sources.
#pragma once

#include <memory>

#include "workload/request_source.hpp"
#include "workload/workload_config.hpp"

namespace moeplan {

/// `make_open` makes the source of one arrival process. With sessions the result is closed: it says one new session in advance, and each
/// later turn once the answer before it is there. REQUIRES: resolved.
std::unique_ptr<RequestSource> make_mixed_source(const WorkloadConfig& config, std::uint64_t seed,
                                                 std::unique_ptr<RequestSource> (*make_open)(const WorkloadConfig&, std::uint64_t));

}  // namespace moeplan
