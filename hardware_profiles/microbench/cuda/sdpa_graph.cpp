#include "cuda/sdpa_graph.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "suite/backend.hpp"

namespace moeplan::bench {
namespace {

constexpr cudnnDataType_t kData = CUDNN_DATA_BFLOAT16, kMath = CUDNN_DATA_FLOAT, kIndex = CUDNN_DATA_INT32;
constexpr std::int64_t kAlignment = 16;  // bytes, of every operand

cudnnBackendDescriptor_t created(cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t raw = nullptr;
  MOEPLAN_CUDNN(cudnnBackendCreateDescriptor(type, &raw));
  return raw;
}

}  // namespace

void check(cudnnStatus_t status, const char* call, const char* file, int line) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::string reason(512, '\0');
  cudnnGetLastErrorString(reason.data(), reason.size());
  reason.resize(reason.find('\0') == std::string::npos ? reason.size() : reason.find('\0'));
  // Classes of the library's codes: 3000 to 3999 are all kinds of "not supported".
  if (status / 1000 * 1000 == CUDNN_STATUS_NOT_SUPPORTED) throw Unsupported(fmt::format("cuDNN has no kernel for this: {} ({})", reason, cudnnGetErrorString(status)));
  const std::string path = file;
  throw std::runtime_error(fmt::format("{} at {}:{}: {} ({})", call, path.substr(path.rfind('/') + 1), line, reason, cudnnGetErrorString(status)));
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) : raw_(created(type)) {}

cudnnBackendDescriptor_t SdpaGraph::tensor(std::int64_t id, cudnnDataType_t type, const Dims& dims, const Dims& strides, bool kept_inside, bool host_scalar) {
  Descriptor& d = keep(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  d.set<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, {id});
  d.set<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, {type});
  d.set<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, {dims.begin(), dims.end()});
  d.set<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, {strides.begin(), strides.end()});
  d.set<std::int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, {kAlignment});
  const bool yes = true;
  if (kept_inside) MOEPLAN_CUDNN(cudnnBackendSetAttribute(d.raw(), CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &yes));
  if (host_scalar) MOEPLAN_CUDNN(cudnnBackendSetAttribute(d.raw(), CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &yes));
  return d.finalize().raw();
}

cudnnBackendDescriptor_t SdpaGraph::between(cudnnDataType_t type, const Dims& dims) {
  return tensor(next_id_++, type, dims, {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1}, true, false);
}

cudnnBackendDescriptor_t SdpaGraph::scalar(Tensor id, cudnnDataType_t type) { return tensor(id, type, {1, 1, 1, 1}, {1, 1, 1, 1}, false, true); }

void SdpaGraph::multiply(cudnnBackendDescriptor_t a, cudnnBackendDescriptor_t b, cudnnBackendDescriptor_t out) {
  Descriptor& product = keep(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  product.set<cudnnDataType_t>(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, {kMath}).finalize();
  const cudnnBackendDescriptor_t raw = product.raw();
  Descriptor& d = keep(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
  d.set<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATION_MATMUL_ADESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, {a});
  d.set<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATION_MATMUL_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, {b});
  d.set<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATION_MATMUL_CDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, {out});
  d.set<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATION_MATMUL_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, {raw});
  operations_.push_back(d.finalize().raw());
}

void SdpaGraph::reduce(cudnnReduceTensorOp_t op, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t y) {
  Descriptor& reduction = keep(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  reduction.set<cudnnReduceTensorOp_t>(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, {op});
  reduction.set<cudnnDataType_t>(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, {kMath}).finalize();
  const cudnnBackendDescriptor_t raw = reduction.raw();
  Descriptor& d = keep(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
  d.set<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, {x});
  d.set<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, {y});
  d.set<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATION_REDUCTION_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, {raw});
  operations_.push_back(d.finalize().raw());
}

void SdpaGraph::pointwise(cudnnPointwiseMode_t mode, cudnnDataType_t precision, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b, cudnnBackendDescriptor_t y,
                          cudnnBackendDescriptor_t t, std::int64_t axis) {
  Descriptor& function = keep(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  function.set<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, {mode});
  function.set<cudnnDataType_t>(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, {precision});
  if (axis >= 0) function.set<std::int64_t>(CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, {axis});
  const cudnnBackendDescriptor_t raw = function.finalize().raw();
  Descriptor& d = keep(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  d.set<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, {raw});
  d.set<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, {x});
  if (b != nullptr) d.set<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, {b});
  if (t != nullptr) d.set<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATION_POINTWISE_TDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, {t});
  d.set<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, {y});
  operations_.push_back(d.finalize().raw());
}

/// A query sees the keys up to its own place, which is aligned with the end of the keys: row + keys - queries >= column. The library knows this form
/// with and without a prefix; without the two sums it takes the mask for an old kernel's and finds none.
cudnnBackendDescriptor_t SdpaGraph::masked(cudnnBackendDescriptor_t scores, const Dims& all) {
  const cudnnBackendDescriptor_t row = between(kIndex, all), column = between(kIndex, all), shifted = between(kIndex, all), place = between(kIndex, all);
  pointwise(CUDNN_POINTWISE_GEN_INDEX, kIndex, scores, nullptr, row, nullptr, 2);
  pointwise(CUDNN_POINTWISE_GEN_INDEX, kIndex, scores, nullptr, column, nullptr, 3);
  pointwise(CUDNN_POINTWISE_ADD, kIndex, row, scalar(kKeyCount, kIndex), shifted);
  pointwise(CUDNN_POINTWISE_SUB, kIndex, shifted, scalar(kQueryCount, kIndex), place);
  const cudnnBackendDescriptor_t seen = between(CUDNN_DATA_BOOLEAN, all), result = between(kMath, all);
  pointwise(CUDNN_POINTWISE_CMP_GE, CUDNN_DATA_BOOLEAN, place, column, seen);
  pointwise(CUDNN_POINTWISE_BINARY_SELECT, kMath, scores, scalar(kMinusInfinity, kMath), result, seen);
  return result;
}

cudnnBackendDescriptor_t SdpaGraph::softmax(cudnnBackendDescriptor_t scores, const Dims& all, const Dims& rows) {
  const cudnnBackendDescriptor_t largest = between(kMath, rows), below = between(kMath, all), powers = between(kMath, all), sum = between(kMath, rows), log = between(kMath, rows),
                                 statistics = between(kMath, rows), shares = between(kData, all);
  reduce(CUDNN_REDUCE_TENSOR_MAX, scores, largest);
  pointwise(CUDNN_POINTWISE_SUB, kMath, scores, largest, below);
  pointwise(CUDNN_POINTWISE_EXP, kMath, below, nullptr, powers);
  reduce(CUDNN_REDUCE_TENSOR_ADD, powers, sum);
  // Wanted by nobody, but without these two the library's kernels write them to where no address was given.
  pointwise(CUDNN_POINTWISE_LOG, kMath, sum, nullptr, log);
  pointwise(CUDNN_POINTWISE_ADD, kMath, largest, log, statistics);
  pointwise(CUDNN_POINTWISE_DIV, kMath, powers, sum, shares);
  return shares;
}

SdpaGraph::SdpaGraph(const SdpaShape& s, cudnnHandle_t handle) : graph_(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
  const std::int64_t q_row = s.heads * s.dim, kv_row = s.kv_heads * s.dim;
  const Dims all = {s.batch, s.heads, s.queries, s.tokens}, rows = {s.batch, s.heads, s.queries, 1}, queries = {s.batch, s.heads, s.queries, s.dim};
  const Dims query_strides = {s.queries * q_row, s.dim, q_row, 1};
  const auto q = tensor(kQuery, kData, queries, query_strides, false, false);
  const auto keys = tensor(kKey, kData, {s.batch, s.kv_heads, s.dim, s.tokens}, {s.tokens * kv_row, s.dim, 1, kv_row}, false, false);
  const auto values = tensor(kValue, kData, {s.batch, s.kv_heads, s.tokens, s.dim}, {s.tokens * kv_row, s.dim, kv_row, 1}, false, false);
  const auto out = tensor(kOut, kData, queries, query_strides, false, false);
  const auto scores = between(kMath, all), scaled = between(kMath, all);
  multiply(q, keys, scores);
  pointwise(CUDNN_POINTWISE_MUL, kMath, scores, scalar(kScale, kMath), scaled);
  multiply(softmax(masked(scaled, all), all, rows), values, out);
  graph_.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, operations_);
  if (handle != nullptr) graph_.set<cudnnHandle_t>(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, {handle});
  graph_.finalize();
}

std::string cudnn_version() {
  const std::size_t v = cudnnGetVersion();
  return fmt::format("{}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

}  // namespace moeplan::bench
