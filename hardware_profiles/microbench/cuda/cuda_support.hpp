// Checked calls and owned resources of the CUDA backend.
#pragma once

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <memory>
#include <string>
#include <vector>

#include "suite/backend.hpp"

namespace moeplan::bench {

/// Throws std::runtime_error naming call, file and line; an allocation that does not fit is Unsupported.
void check(cudaError_t status, const char* call, const char* file, int line);
void check(cublasStatus_t status, const char* call, const char* file, int line);
#define MOEPLAN_CUDA(call) ::moeplan::bench::check((call), #call, __FILE__, __LINE__)

/// Device memory of the current device.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(std::size_t bytes);
  [[nodiscard]] std::byte* data() const { return data_.get(); }
  template <class T>
  [[nodiscard]] T* as() const { return reinterpret_cast<T*>(data_.get()); }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* p) const { cudaFree(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

/// A device copy of host values.
template <class T>
DeviceBuffer upload(const std::vector<T>& values) {
  DeviceBuffer buffer(values.size() * sizeof(T));
  MOEPLAN_CUDA(cudaMemcpy(buffer.data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return buffer;
}
template <class T>
std::vector<T> download(const void* from, std::size_t count) {
  std::vector<T> values(count);
  MOEPLAN_CUDA(cudaMemcpy(values.data(), from, count * sizeof(T), cudaMemcpyDeviceToHost));
  return values;
}

class Stream {
 public:
  Stream() { MOEPLAN_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }  // NOLINT: stands for its handle
  void wait() const { MOEPLAN_CUDA(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() { MOEPLAN_CUDA(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(cudaStream_t stream) { MOEPLAN_CUDA(cudaEventRecord(event_, stream)); }
  /// Seconds from `earlier`; waits for this one.
  [[nodiscard]] double since(const Event& earlier) const {
    MOEPLAN_CUDA(cudaEventSynchronize(event_));
    float milliseconds = 0;
    MOEPLAN_CUDA(cudaEventElapsedTime(&milliseconds, earlier.event_, event_));
    return milliseconds * 1e-3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Random bytes on the device; operands are cut from scattered places, as on the host.
class DeviceArena {
 public:
  DeviceArena(std::size_t bytes, std::uint64_t seed, cudaStream_t stream);
  std::byte* take(std::size_t bytes);
  [[nodiscard]] std::size_t size() const { return buffer_.size(); }

 private:
  DeviceBuffer buffer_;
  std::uint64_t taken_ = 0;
};

/// Library handles of one device and stream, with workspaces.
struct Libraries {
  Libraries();
  ~Libraries();
  Libraries(const Libraries&) = delete;
  Libraries& operator=(const Libraries&) = delete;
  Stream stream;
  cublasHandle_t blas = nullptr;
  cublasLtHandle_t blas_lt = nullptr;
  DeviceBuffer workspace;
  DeviceBuffer one;  ///< the float 1, a scale
  std::unique_ptr<void, void (*)(void*)> dnn{nullptr, [](void*) {}};  ///< cuDNN's handle, see sdpa_plan
};
std::string cublas_version();

/// A call on the device: launched eagerly once, then captured with others into a graph that samples replay, so that the host's launches do not show.
class CudaWork : public Work {
 public:
  Sample run(int calls) final;

 protected:
  explicit CudaWork(Libraries& libraries) : libraries_(libraries) {}
  ~CudaWork() override;
  /// Enqueues one call on `libraries_.stream`, on the next operands.
  virtual void launch() = 0;
  /// False where a call cannot be captured: then it is launched one by one.
  [[nodiscard]] virtual bool in_graph() const { return true; }
  Libraries& libraries_;

 private:
  void capture();
  Event start_, end_;
  cudaGraphExec_t graph_ = nullptr;
};

}  // namespace moeplan::bench
