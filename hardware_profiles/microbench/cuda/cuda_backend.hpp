// The GPUs of this machine: the first is measured, all of them take part in peer copies and collectives.
#pragma once

#include "suite/backend.hpp"

namespace moeplan::bench {

/// Throws NoDevice when there is no usable one.
std::unique_ptr<Backend> make_cuda_backend(std::uint64_t seed);

/// Facts of a compute capability: name of the architecture and the number formats that its tensor cores multiply.
struct Generation {
  const char* name;
  bool fp8, fp4;
};
Generation generation_of(int major, int minor);

}  // namespace moeplan::bench
