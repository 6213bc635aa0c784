// Copies between host and device, copies between devices, collectives by NCCL where it was found.
#pragma once

#include "cuda/cuda_support.hpp"

namespace moeplan::bench {

/// h2d, d2h, both_ways, peer. Throws Unsupported where two devices cannot reach each other.
std::unique_ptr<Work> make_link_work(const Case& c);
/// all_reduce, all_gather, reduce_scatter, all_to_all over the first `ranks` devices. Throws Unsupported when built without NCCL.
std::unique_ptr<Work> make_collective_work(const Case& c);
/// Version of NCCL, or "".
std::string nccl_version();
bool has_nccl();

}  // namespace moeplan::bench
