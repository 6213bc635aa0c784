#include "cuda/cuda_support.hpp"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "cuda/kernels.hpp"

namespace moeplan::bench {
namespace {

constexpr int kCallsPerGraph = 16;
constexpr std::size_t kWorkspace = std::size_t{64} << 20;
constexpr std::size_t kAlign = 4096;

[[noreturn]] void fail(const std::string& what, const char* call, const char* file, int line) {
  const std::string path = file;
  throw std::runtime_error(fmt::format("{} at {}:{}: {}", call, path.substr(path.rfind('/') + 1), line, what));
}

}  // namespace

void check(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) return;
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not sticky: the device goes on
    throw Unsupported("operands larger than the free memory");
  }
  fail(cudaGetErrorString(status), call, file, line);
}

void check(cublasStatus_t status, const char* call, const char* file, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_ARCH_MISMATCH) throw Unsupported(fmt::format("cuBLAS: {}", cublasGetStatusString(status)));
  fail(cublasGetStatusString(status), call, file, line);
}

DeviceBuffer::DeviceBuffer(std::size_t bytes) : size_(bytes) {
  void* memory = nullptr;
  MOEPLAN_CUDA(cudaMalloc(&memory, bytes == 0 ? 1 : bytes));
  data_.reset(static_cast<std::byte*>(memory));
}

DeviceArena::DeviceArena(std::size_t bytes, std::uint64_t seed, cudaStream_t stream) : buffer_(bytes) {
  launch_fill_random(buffer_.data(), bytes, seed, stream);
  MOEPLAN_CUDA(cudaStreamSynchronize(stream));
}

std::byte* DeviceArena::take(std::size_t bytes) {
  if (bytes > buffer_.size()) throw Unsupported("operands larger than the memory set aside");
  const double turn = static_cast<double>(taken_++) * 0.6180339887498949;
  const auto room = static_cast<double>(buffer_.size() - bytes);
  return buffer_.data() + static_cast<std::size_t>((turn - std::floor(turn)) * room) / kAlign * kAlign;
}

Libraries::Libraries() : workspace(kWorkspace), one(upload(std::vector<float>{1.0F})) {
  MOEPLAN_CUDA(cublasCreate(&blas));
  MOEPLAN_CUDA(cublasLtCreate(&blas_lt));
  MOEPLAN_CUDA(cublasSetStream(blas, stream));
  MOEPLAN_CUDA(cublasSetWorkspace(blas, workspace.data(), workspace.size()));
}

Libraries::~Libraries() {
  cublasLtDestroy(blas_lt);
  cublasDestroy(blas);
}

std::string cublas_version() {
  const std::size_t v = cublasLtGetVersion();
  return fmt::format("{}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

CudaWork::~CudaWork() {
  if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
}

void CudaWork::capture() {
  // Once outside of a capture: libraries load kernels and allocate on first use.
  launch();
  libraries_.stream.wait();
  cudaGraph_t graph = nullptr;
  MOEPLAN_CUDA(cudaStreamBeginCapture(libraries_.stream, cudaStreamCaptureModeThreadLocal));
  try {
    for (int i = 0; i < kCallsPerGraph; ++i) launch();
  } catch (...) {
    cudaStreamEndCapture(libraries_.stream, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  MOEPLAN_CUDA(cudaStreamEndCapture(libraries_.stream, &graph));
  const cudaError_t status = cudaGraphInstantiate(&graph_, graph, 0);
  cudaGraphDestroy(graph);
  MOEPLAN_CUDA(status);
}

Sample CudaWork::run(int calls) {
  if (in_graph() && graph_ == nullptr) capture();
  const int at_once = in_graph() ? kCallsPerGraph : 1;
  const int launches = (calls + at_once - 1) / at_once;
  start_.record(libraries_.stream);
  for (int i = 0; i < launches; ++i) {
    if (in_graph()) MOEPLAN_CUDA(cudaGraphLaunch(graph_, libraries_.stream));
    else launch();
  }
  end_.record(libraries_.stream);
  const double seconds = end_.since(start_);
  MOEPLAN_CUDA(cudaGetLastError());
  return {seconds * calls / (static_cast<double>(launches) * at_once), false};
}

}  // namespace moeplan::bench
