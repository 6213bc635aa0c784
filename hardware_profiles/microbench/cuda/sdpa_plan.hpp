// Prefill attention by cuDNN, where the suite was built with it: the library's fused kernel for one shape, with its workspace.
#pragma once

#include "cuda/cuda_support.hpp"

namespace moeplan::bench {

bool has_cudnn();
std::string cudnn_version();  ///< empty without

class SdpaPlan {
 public:
  /// Of attention_prefill in bf16. Throws Unsupported where the library has no kernel, or was not built in.
  SdpaPlan(Libraries& libraries, const Case& c);
  ~SdpaPlan();
  [[nodiscard]] std::size_t query_bytes() const;  ///< also of the result
  [[nodiscard]] std::size_t key_bytes() const;    ///< also of the values
  /// q, out [batch][q_len][heads][head_dim]; keys, values [batch][prefix + q_len][kv_heads][head_dim].
  void run(const std::byte* q, const std::byte* keys, const std::byte* values, std::byte* out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace moeplan::bench
