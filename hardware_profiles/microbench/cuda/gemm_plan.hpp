// One dense product by cuBLASLt: descriptors, layouts and the algorithm that its heuristic puts first.
#pragma once

#include "cuda/cuda_support.hpp"

namespace moeplan::bench {

enum class DeviceFormat : std::uint8_t { kBf16, kFp8, kNvfp4 };
/// Throws Unsupported for other names.
DeviceFormat device_format(const std::string& name);
/// Bytes of `count` elements, without scales.
std::size_t format_bytes(DeviceFormat format, std::int64_t count);

/// Block scales of nvfp4 operands on the device, in cuBLASLt's tiles; null for other formats.
struct BlockScales {
  const void* a = nullptr;
  const void* w = nullptr;
};

class GemmPlan {
 public:
  /// out[m][n] = a[m][k] w[n][k], bf16 out, `batch` products side by side. Throws Unsupported where the library or the device has no such product.
  GemmPlan(Libraries& libraries, std::int64_t m, std::int64_t n, std::int64_t k, DeviceFormat format, int batch = 1);

  [[nodiscard]] std::size_t a_bytes() const { return a_bytes_; }
  [[nodiscard]] std::size_t w_bytes() const { return w_bytes_; }
  [[nodiscard]] std::size_t out_bytes() const { return out_bytes_; }
  /// Of the scales of a and w, all products of a batch together; 0 for formats without.
  [[nodiscard]] std::size_t a_scale_bytes() const { return a_scale_bytes_; }
  [[nodiscard]] std::size_t w_scale_bytes() const { return w_scale_bytes_; }
  /// Enqueues the product.
  void run(const void* a, const void* w, void* out, const BlockScales& scales = {}) const;

 private:
  void set_scale_modes();
  void choose(cublasLtMatmulPreference_t preference);
  Libraries& libraries_;
  // A constructor that finds no algorithm throws: what was made by then must go.
  struct Destroy {
    void operator()(cublasLtMatmulDesc_t p) const { cublasLtMatmulDescDestroy(p); }
    void operator()(cublasLtMatrixLayout_t p) const { cublasLtMatrixLayoutDestroy(p); }
  };
  using Layout = std::unique_ptr<std::remove_pointer_t<cublasLtMatrixLayout_t>, Destroy>;
  static Layout layout_of(cudaDataType_t type, std::int64_t rows, std::int64_t width, int batch);
  std::unique_ptr<std::remove_pointer_t<cublasLtMatmulDesc_t>, Destroy> product_;
  Layout a_, w_, out_;
  cublasLtMatmulAlgo_t algorithm_{};
  DeviceFormat format_;
  std::size_t a_bytes_, w_bytes_, out_bytes_, a_scale_bytes_ = 0, w_scale_bytes_ = 0;
};

}  // namespace moeplan::bench
