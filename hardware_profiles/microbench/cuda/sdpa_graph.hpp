// Causal attention as a cuDNN operation graph, by the library's backend interface (its C++ frontend is no part of the toolkit): product, scale, mask,
// softmax, product, which the library fuses into its flash kernels. Builds without a device. Left out: paged and ragged prompts, dropout, fp8.
#pragma once

#include <cudnn.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace moeplan::bench {

/// Throws Unsupported where the library has no kernel for a graph, std::runtime_error otherwise.
void check(cudnnStatus_t status, const char* call, const char* file, int line);
#define MOEPLAN_CUDNN(call) ::moeplan::bench::check((call), #call, __FILE__, __LINE__)

/// `queries` tokens of each sequence behind `tokens` - `queries` others; q and out [batch][queries][heads][dim], keys and values
/// [batch][tokens][kv_heads][dim], bf16.
struct SdpaShape {
  std::int64_t batch = 1, queries = 1, tokens = 1, heads = 1, kv_heads = 1, dim = 128;
};

/// An owned descriptor of the backend interface.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type);
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const std::vector<T>& values) {
    MOEPLAN_CUDNN(cudnnBackendSetAttribute(raw_.get(), name, type, static_cast<std::int64_t>(values.size()), values.data()));
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& other) { return set<cudnnBackendDescriptor_t>(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, {other.raw()}); }
  Descriptor& finalize() {
    MOEPLAN_CUDNN(cudnnBackendFinalize(raw_.get()));
    return *this;
  }
  [[nodiscard]] cudnnBackendDescriptor_t raw() const { return raw_.get(); }

 private:
  struct Destroy {
    void operator()(cudnnBackendDescriptor_t d) const { cudnnBackendDestroyDescriptor(d); }
  };
  std::unique_ptr<void, Destroy> raw_;
};

class SdpaGraph {
 public:
  /// Unique ids of the tensors that a call gives addresses for; those from kScale on are host scalars.
  enum Tensor : std::int64_t { kQuery = 1, kKey, kValue, kOut, kScale, kKeyCount, kQueryCount, kMinusInfinity, kBetween };
  /// `handle` may be null: then the graph can be examined but not run.
  SdpaGraph(const SdpaShape& shape, cudnnHandle_t handle);
  [[nodiscard]] const Descriptor& graph() const { return graph_; }

 private:
  using Dims = std::array<std::int64_t, 4>;
  Descriptor& keep(cudnnBackendDescriptorType_t type) { return parts_.emplace_back(type); }
  cudnnBackendDescriptor_t tensor(std::int64_t id, cudnnDataType_t type, const Dims& dims, const Dims& strides, bool kept_inside, bool host_scalar);
  cudnnBackendDescriptor_t between(cudnnDataType_t type, const Dims& dims);
  cudnnBackendDescriptor_t scalar(Tensor id, cudnnDataType_t type);
  void multiply(cudnnBackendDescriptor_t a, cudnnBackendDescriptor_t b, cudnnBackendDescriptor_t out);
  void reduce(cudnnReduceTensorOp_t op, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t y);
  /// y = mode(x, b) or, with `t`, t ? x : b; an index along `axis` where that is not negative.
  void pointwise(cudnnPointwiseMode_t mode, cudnnDataType_t precision, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b, cudnnBackendDescriptor_t y,
                 cudnnBackendDescriptor_t t = nullptr, std::int64_t axis = -1);
  cudnnBackendDescriptor_t masked(cudnnBackendDescriptor_t scores, const Dims& all);
  cudnnBackendDescriptor_t softmax(cudnnBackendDescriptor_t scores, const Dims& all, const Dims& rows);

  std::vector<Descriptor> parts_;
  std::vector<cudnnBackendDescriptor_t> operations_;
  std::int64_t next_id_ = kBetween;
  Descriptor graph_;
};

std::string cudnn_version();

}  // namespace moeplan::bench
