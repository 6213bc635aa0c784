// The measured operations of one GPU, and the same kernels on given operands.
#pragma once

#include "cuda/cuda_support.hpp"

namespace moeplan::bench {

std::unique_ptr<Work> make_device_work(const Case& c, Libraries& libraries, DeviceArena& arena, std::uint64_t seed);
std::vector<float> compute_on_device(const Problem& problem, Libraries& libraries);

}  // namespace moeplan::bench
