#include "cuda/sdpa_plan.hpp"

#ifdef MOEPLAN_WITH_CUDNN
#include <cmath>
#include <limits>
#include <optional>

#include "cuda/sdpa_graph.hpp"

namespace moeplan::bench {
namespace {

/// The handle of a device and stream, made when first wanted: loading the library takes a while.
cudnnHandle_t handle_of(Libraries& libraries) {
  if (!libraries.dnn) {
    cudnnHandle_t handle = nullptr;
    MOEPLAN_CUDNN(cudnnCreate(&handle));
    libraries.dnn = {handle, [](void* h) { cudnnDestroy(static_cast<cudnnHandle_t>(h)); }};
    MOEPLAN_CUDNN(cudnnSetStream(handle, libraries.stream));
  }
  return static_cast<cudnnHandle_t>(libraries.dnn.get());
}

SdpaShape shape_of(const Case& c) {
  return {c.integer("batch"), c.integer("q_len"), c.integer("prefix") + c.integer("q_len"), c.integer("heads"), c.integer("kv_heads"), c.integer("head_dim")};
}

/// The first plan that the library's heuristics name and that this device can run.
Descriptor plan_of(const SdpaGraph& graph, cudnnHandle_t handle) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.graph());
  heuristics.set<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, {CUDNN_HEUR_MODE_A}).finalize();
  std::int64_t count = 0;
  MOEPLAN_CUDNN(cudnnBackendGetAttribute(heuristics.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr));
  std::vector<Descriptor> choices;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < count; ++i) raw.push_back(choices.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).raw());
  std::int64_t found = 0;
  MOEPLAN_CUDNN(cudnnBackendGetAttribute(heuristics.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &found, raw.data()));
  std::string why = "no kernel of the library fits";
  for (std::int64_t i = 0; i < found; ++i) {
    try {
      Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
      plan.set<cudnnHandle_t>(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, {handle});
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, choices[static_cast<std::size_t>(i)]).finalize();
      return plan;
    } catch (const Unsupported& reason) {
      why = reason.what();
    }
  }
  throw Unsupported("causal attention by cuDNN: " + why);
}

std::size_t workspace_of(const Descriptor& plan) {
  std::int64_t bytes = 0, count = 0;
  MOEPLAN_CUDNN(cudnnBackendGetAttribute(plan.raw(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, &bytes));
  return static_cast<std::size_t>(bytes);
}

}  // namespace

struct SdpaPlan::Impl {
  SdpaShape shape;
  cudnnHandle_t handle;
  SdpaGraph graph;
  Descriptor plan;
  DeviceBuffer workspace;
  // Read by the library when a call is enqueued.
  mutable float scale, minus_infinity = -std::numeric_limits<float>::infinity();
  mutable std::int32_t keys, queries;

  Impl(Libraries& libraries, const SdpaShape& s)
      : shape(s), handle(handle_of(libraries)), graph(s, handle), plan(plan_of(graph, handle)), workspace(workspace_of(plan)), scale(1.0F / std::sqrt(static_cast<float>(s.dim))),
        keys(static_cast<std::int32_t>(s.tokens)), queries(static_cast<std::int32_t>(s.queries)) {}
};

SdpaPlan::SdpaPlan(Libraries& libraries, const Case& c) : impl_(std::make_unique<Impl>(libraries, shape_of(c))) {}
SdpaPlan::~SdpaPlan() = default;

std::size_t SdpaPlan::query_bytes() const {
  const SdpaShape& s = impl_->shape;
  return static_cast<std::size_t>(s.batch * s.queries * s.heads * s.dim) * 2;
}
std::size_t SdpaPlan::key_bytes() const {
  const SdpaShape& s = impl_->shape;
  return static_cast<std::size_t>(s.batch * s.tokens * s.kv_heads * s.dim) * 2;
}

void SdpaPlan::run(const std::byte* q, const std::byte* keys, const std::byte* values, std::byte* out) const {
  const Impl& i = *impl_;
  const auto in = [](const std::byte* p) { return const_cast<std::byte*>(p); };  // NOLINT: the library takes no pointers to const
  Descriptor operands(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  operands.set<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64,
                             {SdpaGraph::kQuery, SdpaGraph::kKey, SdpaGraph::kValue, SdpaGraph::kOut, SdpaGraph::kScale, SdpaGraph::kKeyCount, SdpaGraph::kQueryCount, SdpaGraph::kMinusInfinity});
  operands.set<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, {in(q), in(keys), in(values), out, &i.scale, &i.keys, &i.queries, &i.minus_infinity});
  operands.set<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, {i.workspace.data()}).finalize();
  MOEPLAN_CUDNN(cudnnBackendExecute(i.handle, i.plan.raw(), operands.raw()));
}

bool has_cudnn() { return true; }

}  // namespace moeplan::bench
#else
namespace moeplan::bench {

struct SdpaPlan::Impl {};
SdpaPlan::SdpaPlan(Libraries&, const Case&) { throw Unsupported("built without cuDNN"); }
SdpaPlan::~SdpaPlan() = default;
std::size_t SdpaPlan::query_bytes() const { return 0; }
std::size_t SdpaPlan::key_bytes() const { return 0; }
void SdpaPlan::run(const std::byte*, const std::byte*, const std::byte*, std::byte*) const {}
bool has_cudnn() { return false; }
std::string cudnn_version() { return ""; }

}  // namespace moeplan::bench
#endif
