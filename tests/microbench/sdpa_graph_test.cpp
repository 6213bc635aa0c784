// What cuDNN makes of the attention graph, asked without a device: the library examines a graph for a device that is only described to it. Kernels it
// would compile at run time need the driver, which this test does not ask for: a kernel that misses nothing else fits.
#include "cuda/sdpa_graph.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "suite/backend.hpp"

namespace moeplan::bench {
namespace {

/// A GPU by its compute capability (900: 9.0), with the shared memory that a block may have there.
Descriptor described_device(int capability, int shared_memory) {
  const std::string json = fmt::format(
      R"({{"cudaDeviceId":0,"deviceVer":{},"driverVer":13000,"deviceName":"described","maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],)"
      R"("regsPerBlock":65536,"multiProcessorCount":132,"smClockRateKHz":1980000,"memClockRateKHz":2619000,"l2CacheSize":52428800,"warpSize":32,)"
      R"("maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":{},"reservedSharedMemoryPerBlock":1024,"maxRegistersPerSM":65536,"pciDeviceId":0,)"
      R"("maxCtasPerSM":32,"maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"totalGlobalMem":85899345920,"isTccDriver":0,"supportCoopLaunch":0}})",
      capability, shared_memory);
  Descriptor d(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  MOEPLAN_CUDNN(cudnnBackendSetAttribute(d.raw(), CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, static_cast<std::int64_t>(json.size()) + 1, json.c_str()));
  d.finalize();
  return d;
}

int fitting_kernels(const SdpaGraph& graph, const Descriptor& device) {
  std::int64_t kernels = 0, count = 0;
  MOEPLAN_CUDNN(cudnnBackendGetAttribute(graph.graph().raw(), CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT, CUDNN_TYPE_INT64, 1, &count, &kernels));
  int fitting = 0;
  for (std::int64_t i = 0; i < kernels; ++i) {
    Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph.graph());
    engine.set<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, {i});
    engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, device);
    if (cudnnBackendFinalize(engine.raw()) != CUDNN_STATUS_SUCCESS) continue;
    Descriptor choice(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    choice.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
    const cudnnStatus_t status = cudnnBackendFinalize(choice.raw());
    fitting += status == CUDNN_STATUS_SUCCESS || status == CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING;
  }
  return fitting;
}

}  // namespace

TEST_CASE("cuDNN has a fused kernel for causal attention on every listed architecture, whole prompts and chunks, grouped heads and not") {
  struct Architecture {
    int capability, shared_memory;
  };
  for (const Architecture a : {Architecture{800, 166912}, Architecture{890, 101376}, Architecture{900, 232448}, Architecture{1000, 232448}, Architecture{1200, 101376}}) {
    CAPTURE(a.capability);
    const Descriptor device = described_device(a.capability, a.shared_memory);
    for (const SdpaShape& shape : {SdpaShape{1, 1024, 1024, 32, 8, 128}, SdpaShape{4, 512, 1536, 32, 32, 128}, SdpaShape{1, 37, 37, 8, 2, 64}, SdpaShape{1, 5, 25, 4, 4, 128}}) {
      CAPTURE(shape.queries);
      CHECK(fitting_kernels(SdpaGraph(shape, nullptr), device) > 0);
    }
  }
}

TEST_CASE("a graph that no kernel of cuDNN takes is told from one that fits") {
  // Compute capability 7.0 has no bf16.
  CHECK(fitting_kernels(SdpaGraph({1, 512, 512, 32, 8, 128}, nullptr), described_device(700, 98304)) == 0);
}

TEST_CASE("what cuDNN refuses is Unsupported with the library's reason, a wrong call is an error") {
  CHECK_THROWS_AS(check(CUDNN_STATUS_NOT_SUPPORTED_SHAPE, "call", "file", 1), Unsupported);
  CHECK_THROWS_WITH_AS(check(CUDNN_STATUS_BAD_PARAM, "call", "a/file.cpp", 7), doctest::Contains("call at file.cpp:7"), std::runtime_error);
}

}  // namespace moeplan::bench
