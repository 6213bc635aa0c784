// The expert FFN of one layer: own permutation, activation and weighted sum around library products. bf16: cuBLAS grouped products over the touched
// experts. fp8, nvfp4: one strided-batched cuBLASLt product where all touched experts have equally many rows and the library takes it, else one product per
// expert. nvfp4 activations are scaled by blocks of 16 on the way, as serving engines do; their scales lie in tiles that begin anew with every expert.
#pragma once

#include "cuda/gemm_plan.hpp"

namespace moeplan::bench {

struct ExpertSizes {
  int tokens = 1, hidden = 1, inter = 1, experts = 1, top_k = 1;
};

class ExpertPlan {
 public:
  /// `chosen` [tokens][top_k]: the routing is known when the plan is made, as products need their sizes; the permutation still runs on the device.
  ExpertPlan(Libraries& libraries, const ExpertSizes& sizes, DeviceFormat format, const std::vector<int>& chosen);
  ~ExpertPlan();

  /// Bytes of all experts' up (gate and up) and down weights; nvfp4: the codes of all experts, then their block scales.
  [[nodiscard]] std::size_t up_bytes() const;
  [[nodiscard]] std::size_t down_bytes() const;
  /// x, out [tokens][hidden] bf16; logits fp32 [tokens][experts] or null: then `weights` [tokens][top_k] are given and the router is not run.
  void run(const std::uint16_t* x, const float* logits, const float* weights, const std::byte* up, const std::byte* down, std::uint16_t* out);
  /// "grouped", "strided-batched", "per-expert".
  [[nodiscard]] const char* kernel() const;

 private:
  struct Group;
  void multiply(const Group& group, const std::byte* in, const std::byte* weights, std::uint16_t* out);
  [[nodiscard]] std::size_t weight_bytes(const Group& group) const;
  void make_products(Group& group);
  void to_inputs(const std::uint16_t* x);
  void activate();
  void grouped(const Group& group, const std::byte* in, const std::byte* weights, std::uint16_t* out);

  Libraries& libraries_;
  ExpertSizes sizes_;
  DeviceFormat format_;
  std::vector<int> touched_, load_, start_;  ///< of the touched experts
  std::vector<int> scale_start_;             ///< nvfp4: their first row of the scales' tiles
  int rows_ = 0;                             ///< padding included
  bool consecutive_ = false;                 ///< touched experts follow each other and have equal loads
  bool batched_ = false;                     ///< and the library takes them as one product
  std::unique_ptr<Group> up_, down_;
  DeviceBuffer touched_on_device_, start_on_device_;
  DeviceBuffer chosen_, counts_, starts_, cursor_, place_, router_choice_, router_weights_;
  DeviceBuffer permuted_, inner_, active_, result_;
  DeviceBuffer scale_row_;  ///< nvfp4: of each row, the row of the scales' tiles
};

}  // namespace moeplan::bench
