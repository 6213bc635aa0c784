// Time of single GPU kernels on one device: fitted rooflines with residual tables where the device was measured, constants of relatives or
// generic achievable fractions of the datasheet where it was not. One class, one set of formulas; only the constants differ.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "calibration/kernel_shapes.hpp"
#include "hardware/gpu_spec.hpp"

namespace moeplan {

struct CostProfile;

/// Pure and thread-safe after construction. No call allocates. These are load-time functions: the step cost compiles them to tables.
class KernelCosts {
 public:
  /// Generic achievable fractions of the datasheet peaks (generic_constants.hpp: fitted to all measured devices together).
  static KernelCosts from_datasheet(const GpuSpec& gpu);
  /// Constants and residuals of a fitted profile (hardware_profiles/fitted/GPU.json); `kernel_preference` lists engine frameworks
  /// ("vllm", "sglang", "trtllm"), best first. Kernels the profile lacks fall back to its transferred or generic constants.
  ///
  /// For a format, the first of these that has a kernel: a preferred engine's measured here, in order of preference; a preferred engine's of a
  /// sibling chip; another engine's measured here; constants of relatives; kernels of a related format with the bytes of this one (fp8 for
  /// fp8_block, 16 bit for weight-only formats, ...); generic fractions. Within one of them the fastest kernel counts, as engines choose.
  /// fp8 kernels of another engine also compete with the 16 bit kernel at fp8 peak and bytes: one engine's slow fp8 path is not another's.
  /// `all_reduce`: frameworks whose all-reduce kernels compete in CUDA graphs; if none of them was measured, all others do.
  static KernelCosts from_profile(const GpuSpec& gpu, const std::filesystem::path& profile, const std::vector<std::string>& kernel_preference,
                                  const std::vector<std::string>& all_reduce = {});
  /// The same for a profile already read (reading one takes tens of milliseconds).
  static KernelCosts from_profile(const GpuSpec& gpu, const CostProfile& profile, const std::vector<std::string>& kernel_preference,
                                  const std::vector<std::string>& all_reduce = {});

  /// Whether the kernels were measured in a running engine (CostProfile::in_engine).
  [[nodiscard]] bool in_engine() const;
  [[nodiscard]] KernelTime gemm(const GemmShape& shape) const;
  [[nodiscard]] KernelTime moe(const MoeShape& shape) const;
  [[nodiscard]] KernelTime decode_attention(const DecodeAttentionShape& shape) const;
  [[nodiscard]] KernelTime prefill_attention(const PrefillAttentionShape& shape) const;
  [[nodiscard]] KernelTime mla_decode(const MlaDecodeShape& shape) const;
  [[nodiscard]] KernelTime mla_prefill(const MlaPrefillShape& shape) const;
  /// A collective inside one node, over the scale-up fabric. Across nodes the cost floor composes it with the scale-out links.
  [[nodiscard]] KernelTime collective(const CollectiveShape& shape) const;
  /// Dispatch or combine of expert parallelism by DeepEP or NVLink copies. Over several nodes: DeepEP as measured on H100 where the network is
  /// that one, else by flows over the links (across_nodes.hpp).
  [[nodiscard]] KernelTime expert_exchange(const ExpertExchangeShape& shape) const;
  /// A memory-bound element-wise kernel moving `bytes`.
  [[nodiscard]] KernelTime elementwise(double bytes) const;

  KernelCosts(KernelCosts&&) noexcept;
  KernelCosts& operator=(KernelCosts&&) noexcept;
  ~KernelCosts();

 private:
  struct Impl;
  explicit KernelCosts(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moeplan
