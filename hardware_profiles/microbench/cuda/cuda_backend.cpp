#include "cuda/cuda_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "cuda/device_work.hpp"
#include "cuda/link_work.hpp"
#include "cuda/nvml.hpp"
#include "cuda/sdpa_plan.hpp"
#include "host/host_device.hpp"

namespace moeplan::bench {
namespace {

constexpr double kArenaShare = 0.45;  // of the free memory, at most
constexpr std::size_t kLargestArena = std::size_t{24} << 30;

cudaDeviceProp properties() {
  cudaDeviceProp p{};
  MOEPLAN_CUDA(cudaGetDeviceProperties(&p, 0));
  return p;
}

class CudaBackend final : public Backend {
 public:
  CudaBackend(std::uint64_t seed, int devices) : seed_(seed), devices_(devices), properties_(properties()) {
    MOEPLAN_CUDA(cudaSetDevice(0));
    libraries_ = std::make_unique<Libraries>();
  }

  DeviceFacts facts() const override {
    DeviceFacts f = host_facts(1);  // the node's processor
    const Generation generation = generation_of(properties_.major, properties_.minor);
    f.host = false;
    f.id = id_from(properties_.name);
    f.name = properties_.name;
    f.vendor = "NVIDIA";
    f.architecture = generation.name;
    f.memory_type = "device memory";
    f.memory_bytes = static_cast<double>(properties_.totalGlobalMem);
    f.l2_bytes = properties_.l2CacheSize;
    f.last_level_bytes = 0;
    f.multiprocessors = properties_.multiProcessorCount;
    f.devices = devices_;
    int driver = 0, runtime = 0;
    MOEPLAN_CUDA(cudaDriverGetVersion(&driver));
    MOEPLAN_CUDA(cudaRuntimeGetVersion(&runtime));
    f.software = {{"cuda_driver", version_text(driver)}, {"cuda_runtime", version_text(runtime)}, {"cublas", cublas_version()}};
    if (has_nccl()) f.software["nccl"] = nccl_version();
    if (has_cudnn()) f.software["cudnn"] = cudnn_version();
    return f;
  }

  Abilities abilities() const override {
    const Generation generation = generation_of(properties_.major, properties_.minor);
    std::vector<std::string> products = {"bf16"}, experts = {"bf16"}, caches = {"bf16"};
    if (generation.fp8) {
      for (auto* list : {&products, &experts, &caches}) list->emplace_back("fp8");
    }
    if (generation.fp4) {
      for (auto* list : {&products, &experts}) list->emplace_back("nvfp4");
    }
    Abilities a;
    a.formats = {{Op::kCopy, {"bf16"}}, {Op::kLaunch, {"bf16"}}, {Op::kGemm, products}, {Op::kMoe, experts}, {Op::kRouter, {"bf16"}},
                 {Op::kAttentionDecode, caches}, {Op::kMlaDecode, {"bf16"}}, {Op::kAttentionPrefill, {"bf16"}}, {Op::kElementwise, {"bf16"}}};
    if (has_nccl() && devices_ > 1) a.formats[Op::kCollective] = {"bf16"};
    a.devices = devices_;
    a.memory_bytes = static_cast<double>(properties_.totalGlobalMem);
    return a;
  }

  std::unique_ptr<Work> prepare(const Case& c) override {
    if (c.op == Op::kCollective) return make_collective_work(c);
    const bool linked = c.op == Op::kCopy && c.text("op") != "read" && c.text("op") != "copy";
    if (linked) return make_link_work(c);
    if (!arena_) arena_ = make_arena();
    return make_device_work(c, *libraries_, *arena_, seed_);
  }

  std::vector<float> compute(const Problem& problem) override { return compute_on_device(problem, *libraries_); }

  Health health() override {
    char bus[32] = {};
    MOEPLAN_CUDA(cudaDeviceGetPCIBusId(bus, sizeof bus, 0));
    return nvml_health(bus);
  }

  /// Events resolve half a microsecond.
  double shortest_sample() const override { return 200e-6; }

 private:
  static std::string version_text(int v) { return fmt::format("{}.{}", v / 1000, v % 1000 / 10); }

  std::unique_ptr<DeviceArena> make_arena() const {
    std::size_t free = 0, total = 0;
    MOEPLAN_CUDA(cudaMemGetInfo(&free, &total));
    const auto share = static_cast<std::size_t>(static_cast<double>(free) * kArenaShare);
    return std::make_unique<DeviceArena>(std::min(kLargestArena, share) / 4096 * 4096, seed_, libraries_->stream);
  }

  std::uint64_t seed_;
  int devices_;
  cudaDeviceProp properties_;
  std::unique_ptr<Libraries> libraries_;
  std::unique_ptr<DeviceArena> arena_;
};

}  // namespace

Generation generation_of(int major, int minor) {
  if (major == 8) return minor == 9 ? Generation{"Ada", true, false} : Generation{"Ampere", false, false};
  if (major == 9) return {"Hopper", true, false};
  if (major == 10) return {minor == 3 ? "Blackwell Ultra" : "Blackwell", true, true};
  if (major == 12) return {"Blackwell RTX", true, true};
  return {"unknown", major > 12, major > 12};
}

std::unique_ptr<Backend> make_cuda_backend(std::uint64_t seed) {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess || devices == 0) {
    throw NoDevice(fmt::format("no CUDA device: {}; --backend host measures the processor", status == cudaSuccess ? "none is visible" : cudaGetErrorString(status)));
  }
  const cudaDeviceProp p = properties();
  if (p.major < 8) throw NoDevice(fmt::format("{} has compute capability {}.{}; 8.0 and newer are measured", p.name, p.major, p.minor));
  return std::make_unique<CudaBackend>(seed, devices);
}

}  // namespace moeplan::bench
