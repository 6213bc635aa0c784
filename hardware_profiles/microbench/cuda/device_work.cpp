#include "cuda/device_work.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "cuda/attention_setup.hpp"
#include "cuda/expert_plan.hpp"
#include "cuda/kernels.hpp"
#include "cuda/sdpa_plan.hpp"

namespace moeplan::bench {
namespace {

constexpr const char* kOwn = "moeplan-cuda-1";

std::size_t size_of(std::int64_t n) { return static_cast<std::size_t>(n); }
int whole(const Case& c, std::string_view column) { return static_cast<int>(c.integer(column)); }

class ReadWork final : public CudaWork {
 public:
  ReadWork(const Case& c, Libraries& libraries, DeviceArena& arena)
      : CudaWork(libraries), arena_(arena), bytes_(size_of(c.integer("bytes"))), reads_(c.text("op") == "read"), sink_(kReadBlocks * sizeof(std::uint32_t)) {}
  std::string framework() const override { return reads_ ? fmt::format("{}/read", kOwn) : fmt::format("cuda-{}/memcpy", CUDART_VERSION / 1000); }

 private:
  void launch() override {
    if (reads_) return launch_read(arena_.take(bytes_), bytes_, sink_.as<std::uint32_t>(), libraries_.stream);
    const std::byte* from = arena_.take(bytes_);
    MOEPLAN_CUDA(cudaMemcpyAsync(arena_.take(bytes_), from, bytes_, cudaMemcpyDeviceToDevice, libraries_.stream));
  }
  DeviceArena& arena_;
  std::size_t bytes_;
  bool reads_;
  DeviceBuffer sink_;
};

/// Launches one by one or, as "graph", replayed: what the host pays shows in the first, what the device pays in the second.
class LaunchWork final : public CudaWork {
 public:
  LaunchWork(const Case& c, Libraries& libraries) : CudaWork(libraries), graph_(c.text("op") == "graph"), kernels_(whole(c, "kernels")) {}
  std::string framework() const override { return fmt::format("cuda-{}/{}", CUDART_VERSION / 1000, graph_ ? "graph" : "launch"); }

 private:
  void launch() override {
    for (int i = 0; i < kernels_; ++i) launch_empty(libraries_.stream);
  }
  bool in_graph() const override { return graph_; }
  bool graph_;
  int kernels_;
};

class GemmWork final : public CudaWork {
 public:
  GemmWork(const Case& c, Libraries& libraries, DeviceArena& arena)
      : CudaWork(libraries), arena_(arena), plan_(libraries, c.integer("m"), c.integer("n"), c.integer("k"), device_format(c.text("dtype"))), out_(plan_.out_bytes()) {}
  std::string framework() const override { return "cublas-" + cublas_version() + "/lt"; }

 private:
  void launch() override {
    const std::byte* a = arena_.take(plan_.a_bytes());
    const std::byte* w = arena_.take(plan_.w_bytes());
    BlockScales scales;
    if (plan_.w_scale_bytes() > 0) scales = {arena_.take(plan_.a_scale_bytes()), arena_.take(plan_.w_scale_bytes())};
    plan_.run(a, w, out_.data(), scales);
  }
  DeviceArena& arena_;
  GemmPlan plan_;
  DeviceBuffer out_;
};

ExpertSizes expert_sizes(const Case& c) { return {whole(c, "tokens"), whole(c, "hidden"), whole(c, "inter"), whole(c, "experts"), whole(c, "top_k")}; }

class MoeWork final : public CudaWork {
 public:
  MoeWork(const Case& c, Libraries& libraries, DeviceArena& arena, std::uint64_t seed)
      : CudaWork(libraries), arena_(arena), sizes_(expert_sizes(c)),
        plan_(libraries, sizes_, device_format(c.text("dtype")), assign_experts(sizes_.tokens, sizes_.top_k, sizes_.experts, c.text("routing") == "balanced", seed)),
        out_(token_bytes()) {}
  std::string framework() const override { return fmt::format("cublas-{}/{}", cublas_version(), plan_.kernel()); }

 private:
  [[nodiscard]] std::size_t token_bytes() const { return size_of(std::int64_t{sizes_.tokens} * sizes_.hidden) * 2; }
  void launch() override {
    const auto* logits = reinterpret_cast<const float*>(arena_.take(size_of(std::int64_t{sizes_.tokens} * sizes_.experts) * sizeof(float)));
    const auto* x = reinterpret_cast<const std::uint16_t*>(arena_.take(token_bytes()));
    const std::byte* up = arena_.take(plan_.up_bytes());
    plan_.run(x, logits, nullptr, up, arena_.take(plan_.down_bytes()), out_.as<std::uint16_t>());
  }
  DeviceArena& arena_;
  ExpertSizes sizes_;
  ExpertPlan plan_;
  DeviceBuffer out_;
};

/// Router kernels alone; the device's memory of one set suffices for all three.
struct RouterBuffers {
  DeviceBuffer chosen, weights, counts, starts, cursor, place, rows, out;
  RouterBuffers(int tokens, int hidden, int experts, int top_k)
      : chosen(size_of(tokens * top_k) * 4), weights(size_of(tokens * top_k) * 4), counts(size_of(experts) * 4), starts(size_of(experts) * 4), cursor(size_of(experts) * 4),
        place(size_of(tokens * top_k) * 4), rows(size_of(std::int64_t{tokens} * top_k * hidden) * 2), out(size_of(std::int64_t{tokens} * hidden) * 2) {}
};

class RouterWork final : public CudaWork {
 public:
  RouterWork(const Case& c, Libraries& libraries, DeviceArena& arena, std::uint64_t seed)
      : CudaWork(libraries), arena_(arena), op_(c.text("op")), tokens_(whole(c, "tokens")), hidden_(whole(c, "hidden")), experts_(whole(c, "experts")), top_k_(whole(c, "top_k")),
        buffers_(tokens_, hidden_, experts_, top_k_) {
    const std::vector<int> chosen = assign_experts(tokens_, top_k_, experts_, true, seed);
    MOEPLAN_CUDA(cudaMemcpy(buffers_.chosen.data(), chosen.data(), chosen.size() * sizeof(int), cudaMemcpyHostToDevice));
    const std::vector<float> weights(chosen.size(), 1.0F / static_cast<float>(top_k_));
    MOEPLAN_CUDA(cudaMemcpy(buffers_.weights.data(), weights.data(), weights.size() * sizeof(float), cudaMemcpyHostToDevice));
    place();
    libraries_.stream.wait();
  }
  std::string framework() const override { return fmt::format("{}/{}", kOwn, op_); }

 private:
  void place() {
    launch_place_pairs(tokens_ * top_k_, experts_, 1, buffers_.chosen.as<int>(), buffers_.counts.as<int>(), buffers_.starts.as<int>(), buffers_.cursor.as<int>(),
                       buffers_.place.as<int>(), libraries_.stream);
  }
  void launch() override {
    const auto bf16 = [&](std::int64_t rows) { return reinterpret_cast<const std::uint16_t*>(arena_.take(size_of(rows * hidden_) * 2)); };
    if (op_ == "softmax_topk") {
      const auto* logits = reinterpret_cast<const float*>(arena_.take(size_of(std::int64_t{tokens_} * experts_) * 4));
      launch_softmax_topk(tokens_, experts_, top_k_, logits, buffers_.chosen.as<int>(), buffers_.weights.as<float>(), libraries_.stream);
    } else if (op_ == "permute") {
      place();
      launch_gather_bf16(tokens_ * top_k_, top_k_, hidden_, buffers_.place.as<int>(), bf16(tokens_), buffers_.rows.as<std::uint16_t>(), libraries_.stream);
    } else {
      launch_weighted_sum(tokens_, top_k_, hidden_, buffers_.place.as<int>(), buffers_.weights.as<float>(), bf16(std::int64_t{tokens_} * top_k_), buffers_.out.as<std::uint16_t>(),
                          libraries_.stream);
    }
  }
  DeviceArena& arena_;
  std::string op_;
  int tokens_, hidden_, experts_, top_k_;
  RouterBuffers buffers_;
};

class AttentionWork final : public CudaWork {
 public:
  AttentionWork(const Case& c, Libraries& libraries, DeviceArena& arena) : CudaWork(libraries), arena_(arena), setup_(c), decodes_(c.op == Op::kAttentionDecode) {}
  std::string framework() const override { return fmt::format("{}/{}", kOwn, decodes_ ? "paged-decode" : "paged-prefill"); }

 private:
  void launch() override {
    const std::byte* keys = arena_.take(setup_.pool_bytes());
    const std::byte* values = arena_.take(setup_.pool_bytes());
    setup_.launch(arena_.take(setup_.query_bytes()), keys, values, libraries_.stream);
  }
  DeviceArena& arena_;
  AttentionSetup setup_;
  bool decodes_;
};

class SdpaWork final : public CudaWork {
 public:
  SdpaWork(const Case& c, Libraries& libraries, DeviceArena& arena) : CudaWork(libraries), arena_(arena), plan_(libraries, c), out_(plan_.query_bytes()) {}
  std::string framework() const override { return "cudnn-" + cudnn_version() + "/sdpa"; }

 private:
  void launch() override {
    const std::byte* keys = arena_.take(plan_.key_bytes());
    const std::byte* values = arena_.take(plan_.key_bytes());
    plan_.run(arena_.take(plan_.query_bytes()), keys, values, out_.data());
  }
  DeviceArena& arena_;
  SdpaPlan plan_;
  DeviceBuffer out_;
};

class LatentWork final : public CudaWork {
 public:
  LatentWork(const Case& c, Libraries& libraries, DeviceArena& arena) : CudaWork(libraries), arena_(arena), setup_(c) {}
  std::string framework() const override { return fmt::format("{}/latent-decode", kOwn); }

 private:
  void launch() override {
    const std::byte* rows = arena_.take(setup_.row_bytes());
    setup_.launch(arena_.take(setup_.query_bytes()), rows, libraries_.stream);
  }
  DeviceArena& arena_;
  LatentSetup setup_;
};

/// A layer's element-wise kernels one after another, in the order in which an engine runs them between its products.
class ElementwiseWork final : public CudaWork {
 public:
  ElementwiseWork(const Case& c, Libraries& libraries, DeviceArena& arena)
      : CudaWork(libraries), arena_(arena), hidden_(whole(c, "hidden")), inter_(whole(c, "inter")), call_{whole(c, "tokens"), whole(c, "heads"), whole(c, "kv_heads"), whole(c, "head_dim")} {
    const int pages = (call_.tokens + kPageTokens - 1) / kPageTokens;
    std::vector<std::int32_t> table(size_of(pages));
    std::iota(table.begin(), table.end(), 0);
    table_ = upload(table);
    angles_ = upload(std::vector<float>(size_of(call_.dim), 0.6F));
    stream_ = DeviceBuffer(bytes(hidden_));
    MOEPLAN_CUDA(cudaMemset(stream_.data(), 0, stream_.size()));
    normed_ = DeviceBuffer(bytes(hidden_));
    active_ = DeviceBuffer(bytes(inter_));
    queries_ = DeviceBuffer(bytes(call_.heads * call_.dim));
    for (DeviceBuffer* pool : {&keys_, &values_}) *pool = DeviceBuffer(size_of(std::int64_t{pages} * kPageTokens * call_.kv_heads * call_.dim) * 2);
    call_.cosines = angles_.as<float>();
    call_.sines = call_.cosines + call_.dim / 2;
    call_.table = table_.as<std::int32_t>();
    call_.queries = queries_.as<std::uint16_t>();
    call_.keys = keys_.as<std::uint16_t>();
    call_.values = values_.as<std::uint16_t>();
  }
  std::string framework() const override { return fmt::format("{}/layer", kOwn); }

 private:
  [[nodiscard]] std::size_t bytes(int width) const { return size_of(std::int64_t{call_.tokens} * width) * 2; }
  const std::uint16_t* next(int width) { return reinterpret_cast<const std::uint16_t*>(arena_.take(bytes(width))); }
  void norm() { launch_add_norm(call_.tokens, hidden_, next(hidden_), stream_.as<std::uint16_t>(), normed_.as<std::uint16_t>(), libraries_.stream); }
  void launch() override {
    norm();
    call_.projected = next((call_.heads + 2 * call_.kv_heads) * call_.dim);
    launch_rotate_store(call_, libraries_.stream);
    norm();
    launch_gate(call_.tokens, inter_, next(2 * inter_), active_.as<std::uint16_t>(), libraries_.stream);
  }
  DeviceArena& arena_;
  int hidden_, inter_;
  RotateCall call_;
  DeviceBuffer table_, angles_, stream_, normed_, active_, queries_, keys_, values_;
};

}  // namespace

std::unique_ptr<Work> make_device_work(const Case& c, Libraries& libraries, DeviceArena& arena, std::uint64_t seed) {
  switch (c.op) {
    case Op::kCopy: return std::make_unique<ReadWork>(c, libraries, arena);
    case Op::kLaunch: return std::make_unique<LaunchWork>(c, libraries);
    case Op::kGemm: return std::make_unique<GemmWork>(c, libraries, arena);
    case Op::kMoe: return std::make_unique<MoeWork>(c, libraries, arena, seed);
    case Op::kRouter: return std::make_unique<RouterWork>(c, libraries, arena, seed);
    case Op::kAttentionPrefill:
      if (has_cudnn()) return std::make_unique<SdpaWork>(c, libraries, arena);
      [[fallthrough]];
    case Op::kAttentionDecode: return std::make_unique<AttentionWork>(c, libraries, arena);
    case Op::kMlaDecode: return std::make_unique<LatentWork>(c, libraries, arena);
    case Op::kElementwise: return std::make_unique<ElementwiseWork>(c, libraries, arena);
    case Op::kCollective: break;
  }
  throw Unsupported("an operation among devices");
}

}  // namespace moeplan::bench
