#include "host/host_work.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.hpp"
#include "host/host_device.hpp"
#include "host/memory_loops.hpp"
#include "host/row_math.hpp"
#include "suite/indexing.hpp"

namespace moeplan::bench {
namespace {

constexpr const char* kOwn = "moeplan-host-1";  // framework of the own loops; the number changes with them
constexpr std::size_t kPage = 4096;

std::size_t size_of(std::int64_t n) { return static_cast<std::size_t>(n); }
std::size_t element_size(const std::string& format) { return format == "fp32" ? 4 : format == "int8" ? 1 : 2; }

/// Work whose call is a function of this class; times `calls` of them and notes whether the processor was taken away.
class HostWork : public Work {
 public:
  Sample run(int calls) final {
    if (!among_others()) return timed(calls);
    Sample sum{0, false};
    for (int i = 0; i < calls; ++i) {
      arena_.sweep();
      const Sample one = timed(1);
      sum.seconds += one.seconds;
      sum.disturbed = sum.disturbed || one.disturbed;
    }
    return sum;
  }

 protected:
  explicit HostWork(Arena& arena) : arena_(arena) {}
  virtual void call() = 0;
  /// Whether other work comes between two calls when a model is served: then caches hold neither the library's code nor old results.
  [[nodiscard]] virtual bool among_others() const { return true; }
  Arena& arena_;

 private:
  Sample timed(int calls) {
    const long before = preemptions();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) call();
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    return {passed.count(), preemptions() != before};
  }
};

class CopyWork final : public HostWork {
 public:
  CopyWork(const Case& c, Arena& arena) : HostWork(arena), bytes_(size_of(c.integer("bytes"))), reads_(c.text("op") == "read") {}
  std::string framework() const override { return fmt::format("{}/{}", kOwn, reads_ ? "read" : "copy"); }

 private:
  void call() override {
    if (reads_) return static_cast<void>(sink_ = sink_ + read_memory(arena_.take(bytes_), bytes_));
    std::byte* from = arena_.take(bytes_);
    copy_memory(from, arena_.take(bytes_), bytes_);
  }
  bool among_others() const override { return false; }
  std::size_t bytes_;
  bool reads_;
  volatile std::uint64_t sink_ = 0;
};

/// The smallest product stands for a kernel's launch: what the library and the threads cost before any work.
class LaunchWork final : public HostWork {
 public:
  LaunchWork(const Case& c, Arena& arena) : HostWork(arena), kernels_(static_cast<int>(c.integer("kernels"))), product_(16, 16, HostFormat::kFp32) {
    weights_ = Buffer(product_.packed_bytes());
    fill_random(weights_.data(), weights_.size(), 1);
  }
  std::string framework() const override { return "onednn-" + onednn_version() + "/matmul-16x16"; }

 private:
  void call() override {
    for (int i = 0; i < kernels_; ++i) product_.run(4, in_, weights_.data(), out_);
  }
  bool among_others() const override { return false; }
  int kernels_;
  MatrixProduct product_;
  Buffer weights_;
  alignas(64) float in_[64] = {}, out_[64] = {};
};

class GemmWork final : public HostWork {
 public:
  GemmWork(const Case& c, Arena& arena) : HostWork(arena), m_(static_cast<int>(c.integer("m"))),
        product_(static_cast<int>(c.integer("n")), static_cast<int>(c.integer("k")), host_format(c.text("dtype"))) {
    const std::size_t rows = size_of(MatrixProduct::rows(m_));
    in_bytes_ = rows * size_of(product_.inputs()) * element_size(c.text("dtype"));
    out_ = Buffer(rows * size_of(product_.outputs()) * 4);
  }
  std::string framework() const override { return "onednn-" + onednn_version() + "/matmul"; }

 private:
  void call() override {
    const std::byte* in = arena_.take(in_bytes_);
    product_.run(m_, in, arena_.take(product_.packed_bytes()), out_.data());
  }
  int m_;
  MatrixProduct product_;
  std::size_t in_bytes_ = 0;
  Buffer out_;
};

constexpr int kRounds = 16;  // assignments of tokens to experts that calls go through

class MoeWork final : public HostWork {
 public:
  MoeWork(const Case& c, Arena& arena, std::uint64_t seed)
      : HostWork(arena), tokens_(static_cast<int>(c.integer("tokens"))),
        layer_({static_cast<int>(c.integer("hidden")), static_cast<int>(c.integer("inter")), static_cast<int>(c.integer("experts")), static_cast<int>(c.integer("top_k"))},
               host_format(c.text("dtype"))),
        in_bytes_(size_of(tokens_) * size_of(layer_.dims().hidden) * element_size(c.text("dtype"))), out_(in_bytes_) {
    const ExpertDims& d = layer_.dims();
    for (int round = 0; round < kRounds; ++round) {
      // Logits that make the router choose what the case says, so that softmax and top-k are part of the time.
      const std::vector<int> chosen = assign_experts(tokens_, d.top_k, d.experts, c.text("routing") == "balanced", seed, round);
      std::vector<float> logits(size_of(std::int64_t{tokens_} * d.experts), -1.0F);
      for (std::size_t i = 0; i < chosen.size(); ++i) logits[i / size_of(d.top_k) * size_of(d.experts) + size_of(chosen[i])] = 1.0F - 0.01F * static_cast<float>(i % size_of(d.top_k));
      logits_.push_back(std::move(logits));
    }
  }
  std::string framework() const override { return fmt::format("onednn-{}/matmul-per-expert", onednn_version()); }

 private:
  void call() override {
    const std::byte* x = arena_.take(in_bytes_);
    const std::byte* weights = arena_.take(layer_.expert_bytes() * size_of(layer_.dims().experts));
    softmax_topk(tokens_, layer_.dims(), logits_[round_++ % kRounds].data(), routing_);
    layer_.run(tokens_, x, routing_, weights, out_.data());
  }
  int tokens_;
  ExpertLayer layer_;
  std::size_t in_bytes_;
  Buffer out_;
  std::vector<std::vector<float>> logits_;
  Routing routing_;
  std::size_t round_ = 0;
};

class RouterWork final : public HostWork {
 public:
  RouterWork(const Case& c, Arena& arena, std::uint64_t seed)
      : HostWork(arena), op_(c.text("op")), tokens_(static_cast<int>(c.integer("tokens"))),
        dims_{static_cast<int>(c.integer("hidden")), 0, static_cast<int>(c.integer("experts")), static_cast<int>(c.integer("top_k"))} {
    routing_.experts = assign_experts(tokens_, dims_.top_k, dims_.experts, true, seed);
    routing_.weights.assign(routing_.experts.size(), 1.0F / static_cast<float>(dims_.top_k));
    permute(tokens_, dims_, routing_.experts, permutation_);
    rows_bytes_ = size_of(permutation_.rows) * size_of(dims_.hidden) * 2;
    tokens_bytes_ = size_of(tokens_) * size_of(dims_.hidden) * 2;
    out_ = Buffer(std::max(rows_bytes_, tokens_bytes_));
  }
  std::string framework() const override { return fmt::format("{}/{}", kOwn, op_); }

 private:
  void call() override {
    if (op_ == "softmax_topk") return softmax_topk(tokens_, dims_, reinterpret_cast<const float*>(arena_.take(size_of(tokens_) * size_of(dims_.experts) * 4)), scored_);
    if (op_ == "permute") {
      permute(tokens_, dims_, routing_.experts, permutation_);
      return gather_rows(tokens_, dims_, permutation_, reinterpret_cast<const std::uint16_t*>(arena_.take(tokens_bytes_)), out_.as<std::uint16_t>());
    }
    weighted_sum(tokens_, dims_, permutation_, routing_.weights.data(), reinterpret_cast<const std::uint16_t*>(arena_.take(rows_bytes_)), out_.as<std::uint16_t>());
  }
  std::string op_;
  int tokens_;
  ExpertDims dims_;
  Routing routing_, scored_;
  Permutation permutation_;
  std::size_t rows_bytes_ = 0, tokens_bytes_ = 0;
  Buffer out_;
};

/// Decode and prefill: the blocks of the sequences lie scattered over a pool that the arena hands out, as in a server that has run for a while.
template <class Element>
class AttentionWork final : public HostWork {
 public:
  AttentionWork(const Case& c, Arena& arena)
      : HostWork(arena), decodes_(c.op == Op::kAttentionDecode), heads_{static_cast<int>(c.integer("heads")), static_cast<int>(c.integer("kv_heads")), static_cast<int>(c.integer("head_dim"))},
        batch_(static_cast<int>(c.integer("batch"))), queries_(decodes_ ? 1 : static_cast<int>(c.integer("q_len"))),
        tokens_(decodes_ ? static_cast<int>(c.integer("kv_len")) : static_cast<int>(c.integer("q_len") + c.integer("prefix"))) {
    if (heads_.dim % 16 != 0) throw Unsupported("head dimensions that are no multiple of 16");
    blocks_each_ = (tokens_ + kBlockTokens - 1) / kBlockTokens;
    const int blocks = blocks_each_ * batch_;
    pool_bytes_ = size_of(blocks) * heads_.block_elements() * sizeof(Element);
    table_.resize(size_of(blocks));
    // A stride coprime to the number of blocks visits each once.
    int stride = blocks / 2 | 1;
    while (std::gcd(stride, blocks) != 1) stride += 2;
    for (int i = 0; i < blocks; ++i) table_[size_of(i)] = static_cast<std::int32_t>(std::int64_t{i} * stride % blocks);
    for (int s = 0; s < batch_; ++s) sequences_.push_back({table_.data() + std::ptrdiff_t{s} * blocks_each_, tokens_});
    query_bytes_ = size_of(std::int64_t{batch_} * queries_ * heads_.heads * heads_.dim) * sizeof(Element);
    out_ = Buffer(query_bytes_);
  }
  std::string framework() const override { return fmt::format("{}/{}", kOwn, decodes_ ? "paged-decode" : "paged-prefill"); }

 private:
  void call() override {
    const auto* pool = reinterpret_cast<const Element*>(arena_.take(pool_bytes_));
    const auto* q = reinterpret_cast<const Element*>(arena_.take(query_bytes_));
    auto* out = out_.as<Element>();
    if (decodes_) return decode_attention(heads_, pool, sequences_, q, out);
    const std::ptrdiff_t row = std::ptrdiff_t{queries_} * heads_.heads * heads_.dim;
    for (int s = 0; s < batch_; ++s) prefill_attention(heads_, pool, sequences_[size_of(s)], queries_, q + s * row, out + s * row);
  }
  bool decodes_;
  AttentionHeads heads_;
  int batch_, queries_, tokens_, blocks_each_ = 0;
  std::size_t pool_bytes_ = 0, query_bytes_ = 0;
  std::vector<std::int32_t> table_;
  std::vector<PagedSequence> sequences_;
  Buffer out_;
};

template <class Element>
class LatentWork final : public HostWork {
 public:
  LatentWork(const Case& c, Arena& arena) : HostWork(arena), batch_(static_cast<int>(c.integer("batch"))), length_(static_cast<int>(c.integer("kv_len"))), heads_(static_cast<int>(c.integer("heads"))) {
    if (heads_ % 4 != 0) throw Unsupported("latent attention of a number of heads that is no multiple of 4");
    out_ = Buffer(size_of(std::int64_t{batch_} * heads_ * kLatent) * sizeof(Element));
  }
  std::string framework() const override { return fmt::format("{}/latent-decode", kOwn); }

 private:
  void call() override {
    const auto* rows = reinterpret_cast<const Element*>(arena_.take(size_of(std::int64_t{batch_} * length_ * kLatentRow) * sizeof(Element)));
    const auto* q = reinterpret_cast<const Element*>(arena_.take(size_of(std::int64_t{batch_} * heads_ * kLatentRow) * sizeof(Element)));
    latent_decode(batch_, length_, heads_, rows, q, out_.as<Element>());
  }
  int batch_, length_, heads_;
  Buffer out_;
};

/// A layer's element-wise kernels one after another, in the order in which an engine runs them between its products.
class ElementwiseWork final : public HostWork {
 public:
  ElementwiseWork(const Case& c, Arena& arena)
      : HostWork(arena), tokens_(static_cast<int>(c.integer("tokens"))), hidden_(static_cast<int>(c.integer("hidden"))), inter_(static_cast<int>(c.integer("inter"))),
        heads_{static_cast<int>(c.integer("heads")), static_cast<int>(c.integer("kv_heads")), static_cast<int>(c.integer("head_dim"))},
        stream_(bytes(hidden_)), normed_(bytes(hidden_)), queries_(bytes(heads_.heads * heads_.dim)), active_(bytes(inter_)) {
    const int blocks = (tokens_ + kBlockTokens - 1) / kBlockTokens;
    for (int i = 0; i < blocks; ++i) table_.push_back(i);
    cache_ = Buffer(size_of(blocks) * heads_.block_elements() * 2);
    fill_random(stream_.data(), stream_.size(), 1);
    for (int i = 0; i < heads_.dim / 2; ++i) {
      cosines_.push_back(static_cast<float>(std::cos(0.1 * i)));
      sines_.push_back(static_cast<float>(std::sin(0.1 * i)));
    }
  }
  std::string framework() const override { return fmt::format("{}/layer", kOwn); }

 private:
  [[nodiscard]] std::size_t bytes(int width) const { return size_of(tokens_) * size_of(width) * 2; }
  std::uint16_t* next(int width) { return reinterpret_cast<std::uint16_t*>(arena_.take(bytes(width))); }
  void call() override {
    norm();
    const int width = (heads_.heads + 2 * heads_.kv_heads) * heads_.dim, q_width = heads_.heads * heads_.dim;
    std::uint16_t* projected = next(width);
    for (int t = 0; t < tokens_; ++t) {
      std::uint16_t* token = projected + std::ptrdiff_t{t} * width;
      for (int h = 0; h < heads_.heads + heads_.kv_heads; ++h) rotate_head(token + std::ptrdiff_t{h} * heads_.dim, heads_.dim / 2, cosines_.data(), sines_.data());
      std::copy_n(token, q_width, queries_.as<std::uint16_t>() + std::ptrdiff_t{t} * q_width);
      store_token(heads_, cache_.as<std::uint16_t>(), table_.data(), t, token + q_width, token + q_width + std::ptrdiff_t{heads_.kv_heads} * heads_.dim);
    }
    norm();
    gated_activation(tokens_, inter_, next(2 * inter_), active_.as<std::uint16_t>());
  }
  void norm() {
    add_rows(tokens_, hidden_, next(hidden_), stream_.as<std::uint16_t>());
    rms_norm_rows(tokens_, hidden_, stream_.as<std::uint16_t>(), normed_.as<std::uint16_t>());
  }
  int tokens_, hidden_, inter_;
  AttentionHeads heads_;
  Buffer stream_, normed_, queries_, active_, cache_;
  std::vector<std::int32_t> table_;
  std::vector<float> cosines_, sines_;
};

}  // namespace

Arena::Arena(std::size_t bytes, std::uint64_t seed) : buffer_(bytes) { fill_random(buffer_.data(), bytes, seed); }

std::byte* Arena::take(std::size_t bytes) {
  if (bytes > buffer_.size()) throw Unsupported("operands larger than the memory set aside");
  // Multiples of the golden ratio: places far apart from call to call, and long until one comes again.
  const double turn = static_cast<double>(taken_++) * 0.6180339887498949;
  const auto room = static_cast<double>(buffer_.size() - bytes);
  return buffer_.data() + static_cast<std::size_t>((turn - std::floor(turn)) * room) / kPage * kPage;
}

void Arena::sweep() {
  // About what one layer of a small model moves.
  const std::size_t bytes = std::min(std::size_t{16} << 20, buffer_.size() / kPage * kPage);
  swept_ = swept_ ^ read_memory(take(bytes), bytes);
}

HostFormat host_format(const std::string& name) {
  if (name == "fp32") return HostFormat::kFp32;
  if (name == "bf16") return HostFormat::kBf16;
  if (name == "int8") return HostFormat::kInt8;
  throw Unsupported("number format " + name);
}

std::unique_ptr<Work> make_host_work(const Case& c, Arena& arena, std::uint64_t seed) {
  switch (c.op) {
    case Op::kCopy: return std::make_unique<CopyWork>(c, arena);
    case Op::kLaunch: return std::make_unique<LaunchWork>(c, arena);
    case Op::kGemm: return std::make_unique<GemmWork>(c, arena);
    case Op::kMoe: return std::make_unique<MoeWork>(c, arena, seed);
    case Op::kRouter: return std::make_unique<RouterWork>(c, arena, seed);
    case Op::kAttentionDecode:
    case Op::kAttentionPrefill:
      if (c.text("kv_dtype") == "fp32") return std::make_unique<AttentionWork<float>>(c, arena);
      return std::make_unique<AttentionWork<std::uint16_t>>(c, arena);
    case Op::kMlaDecode: return std::make_unique<LatentWork<std::uint16_t>>(c, arena);
    case Op::kElementwise: return std::make_unique<ElementwiseWork>(c, arena);
    case Op::kCollective: break;
  }
  throw Unsupported("one processor exchanges nothing");
}

}  // namespace moeplan::bench
