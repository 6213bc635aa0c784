// A case of attention with all that does not change from call to call: block tables, scratch, how far keys are split.
#pragma once

#include "cuda/cuda_support.hpp"
#include "cuda/kernels.hpp"

namespace moeplan::bench {

class AttentionSetup {
 public:
  /// Of attention_decode or attention_prefill. Throws Unsupported for head dimensions other than 64 and 128.
  explicit AttentionSetup(const Case& c);
  [[nodiscard]] std::size_t pool_bytes() const;   ///< of keys, and of values
  [[nodiscard]] std::size_t query_bytes() const;  ///< also of the result
  void launch(const std::byte* q, const std::byte* keys, const std::byte* values, cudaStream_t stream);
  [[nodiscard]] const DeviceBuffer& out() const { return out_; }
  /// Physical block of each sequence's blocks in order; [sequence][blocks_each].
  [[nodiscard]] const std::vector<std::int32_t>& table() const { return table_; }
  [[nodiscard]] const AttentionCall& call() const { return call_; }
  [[nodiscard]] int tokens() const { return tokens_; }

 private:
  AttentionCall call_;
  int tokens_;
  std::vector<std::int32_t> table_;
  DeviceBuffer device_table_, out_, partial_;
};

class LatentSetup {
 public:
  explicit LatentSetup(const Case& c);
  [[nodiscard]] std::size_t row_bytes() const;
  [[nodiscard]] std::size_t query_bytes() const;
  void launch(const std::byte* q, const std::byte* rows, cudaStream_t stream);
  [[nodiscard]] const DeviceBuffer& out() const { return out_; }
  [[nodiscard]] const LatentCall& call() const { return call_; }

 private:
  LatentCall call_;
  DeviceBuffer out_, partial_;
};

}  // namespace moeplan::bench
