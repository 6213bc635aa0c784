#include "cuda/gemm_plan.hpp"

#include "suite/indexing.hpp"

namespace moeplan::bench {
namespace {

constexpr std::size_t kWorkspaceLimit = std::size_t{32} << 20;

cudaDataType_t type_of(DeviceFormat format) {
  switch (format) {
    case DeviceFormat::kBf16: return CUDA_R_16BF;
    case DeviceFormat::kFp8: return CUDA_R_8F_E4M3;
    case DeviceFormat::kNvfp4: break;
  }
#if CUBLAS_VERSION >= 120800
  return CUDA_R_4F_E2M1;
#else
  throw Unsupported("fp4 needs cuBLAS 12.8");
#endif
}

template <class Value>
void set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute, const Value& value) {
  MOEPLAN_CUDA(cublasLtMatmulDescSetAttribute(product, attribute, &value, sizeof value));
}

}  // namespace

DeviceFormat device_format(const std::string& name) {
  if (name == "bf16") return DeviceFormat::kBf16;
  if (name == "fp8") return DeviceFormat::kFp8;
  if (name == "nvfp4") return DeviceFormat::kNvfp4;
  throw Unsupported("number format " + name);
}

std::size_t format_bytes(DeviceFormat format, std::int64_t count) {
  const auto elements = static_cast<std::size_t>(count);
  if (format == DeviceFormat::kBf16) return 2 * elements;
  return format == DeviceFormat::kFp8 ? elements : (elements + 1) / 2;
}

/// The library reads columns first: a row-major [rows][width] matrix is its [width x rows].
GemmPlan::Layout GemmPlan::layout_of(cudaDataType_t type, std::int64_t rows, std::int64_t width, int batch) {
  cublasLtMatrixLayout_t made = nullptr;
  MOEPLAN_CUDA(cublasLtMatrixLayoutCreate(&made, type, static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(rows), width));
  Layout layout(made);
  if (batch > 1) {
    const std::int64_t stride = rows * width;
    MOEPLAN_CUDA(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch));
    MOEPLAN_CUDA(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride));
  }
  return layout;
}

GemmPlan::GemmPlan(Libraries& libraries, std::int64_t m, std::int64_t n, std::int64_t k, DeviceFormat format, int batch)
    : libraries_(libraries), format_(format), a_bytes_(format_bytes(format, m * k * batch)), w_bytes_(format_bytes(format, n * k * batch)),
      out_bytes_(static_cast<std::size_t>(m * n * batch) * 2) {
  if (format != DeviceFormat::kBf16 && (k % 32 != 0 || n % 16 != 0)) throw Unsupported("8 and 4 bit products of sizes that are no multiples of 16 and 32");
  const cudaDataType_t type = type_of(format);
  // Column-major: out^T [n x m] = (w as [k x n])^T times (a as [k x m]).
  cublasLtMatmulDesc_t made = nullptr;
  MOEPLAN_CUDA(cublasLtMatmulDescCreate(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  product_.reset(made);
  set(product_.get(), CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
  set(product_.get(), CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
  w_ = layout_of(type, n, k, batch);
  a_ = layout_of(type, m, k, batch);
  out_ = layout_of(CUDA_R_16BF, m, n, batch);
  if (format == DeviceFormat::kNvfp4) {
    a_scale_bytes_ = static_cast<std::size_t>(scale_bytes(m, k / kFp4Block) * batch);
    w_scale_bytes_ = static_cast<std::size_t>(scale_bytes(n, k / kFp4Block) * batch);
  }
  set_scale_modes();
  cublasLtMatmulPreference_t preference = nullptr;
  MOEPLAN_CUDA(cublasLtMatmulPreferenceCreate(&preference));
  try {
    choose(preference);
  } catch (...) {
    cublasLtMatmulPreferenceDestroy(preference);
    throw;
  }
  cublasLtMatmulPreferenceDestroy(preference);
}

void GemmPlan::set_scale_modes() {
  if (format_ == DeviceFormat::kFp8) {
    set(product_.get(), CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, libraries_.one.data());
    set(product_.get(), CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, libraries_.one.data());
    // As serving engines call it. Without, Hopper adds to a wider register every few steps, for which its tensor cores wait.
    set(product_.get(), CUBLASLT_MATMUL_DESC_FAST_ACCUM, std::int8_t{1});
  }
#if CUBLAS_VERSION >= 120800
  if (format_ == DeviceFormat::kNvfp4) {
    set(product_.get(), CUBLASLT_MATMUL_DESC_A_SCALE_MODE, CUBLASLT_MATMUL_MATRIX_SCALE_VEC16_UE4M3);
    set(product_.get(), CUBLASLT_MATMUL_DESC_B_SCALE_MODE, CUBLASLT_MATMUL_MATRIX_SCALE_VEC16_UE4M3);
    // The heuristic wants to see pointers; run() sets the real ones.
    set(product_.get(), CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, libraries_.one.data());
    set(product_.get(), CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, libraries_.one.data());
  }
#endif
}

void GemmPlan::choose(cublasLtMatmulPreference_t preference) {
  MOEPLAN_CUDA(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspaceLimit, sizeof kWorkspaceLimit));
  cublasLtMatmulHeuristicResult_t found{};
  int count = 0;
  MOEPLAN_CUDA(cublasLtMatmulAlgoGetHeuristic(libraries_.blas_lt, product_.get(), w_.get(), a_.get(), out_.get(), out_.get(), preference, 1, &found, &count));
  if (count == 0) throw Unsupported("cuBLASLt has no algorithm for this product here");
  algorithm_ = found.algo;
}

void GemmPlan::run(const void* a, const void* w, void* out, const BlockScales& scales) const {
  if (format_ == DeviceFormat::kNvfp4) {
    // Column-major: the library's first matrix is w.
    set(product_.get(), CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, scales.w);
    set(product_.get(), CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, scales.a);
  }
  const float alpha = 1, beta = 0;
  MOEPLAN_CUDA(cublasLtMatmul(libraries_.blas_lt, product_.get(), &alpha, w, w_.get(), a, a_.get(), &beta, out, out_.get(), out, out_.get(), &algorithm_, libraries_.workspace.data(), kWorkspaceLimit,
                              libraries_.stream));
}

}  // namespace moeplan::bench
