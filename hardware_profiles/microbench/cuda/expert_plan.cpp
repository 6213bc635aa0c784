#include "cuda/expert_plan.hpp"

#include <algorithm>

#include "cuda/kernels.hpp"
#include "suite/indexing.hpp"

namespace moeplan::bench {
namespace {

/// Rows of an expert are padded to this where formats ask for multiples of 16.
int padding(DeviceFormat format) { return format == DeviceFormat::kBf16 ? 1 : 16; }
/// Scales lie in tiles of 128 rows.
int tile_rows(int rows) { return (rows + 127) / 128 * 128; }
std::size_t size_of(std::int64_t n) { return static_cast<std::size_t>(n); }

}  // namespace

/// One of the two products of all touched experts: n outputs of k inputs each.
struct ExpertPlan::Group {
  std::int64_t n, k;
  std::vector<std::unique_ptr<GemmPlan>> plans;  // fp8, nvfp4: one batched, or one per expert
  DeviceBuffer scales;                           // nvfp4: of the inputs
  // bf16: arrays by group, one product each; addresses are on the device and written by a kernel for each call's weights
  std::vector<int> m, width, depth, ones;
  std::vector<cublasOperation_t> transposed, plain;
  std::vector<float> alpha, beta;
  DeviceBuffer addresses;  // weights, inputs, outputs: three arrays
};

ExpertPlan::ExpertPlan(Libraries& libraries, const ExpertSizes& sizes, DeviceFormat format, const std::vector<int>& chosen)
    : libraries_(libraries), sizes_(sizes), format_(format) {
  std::vector<int> load(size_of(sizes.experts), 0);
  for (const int e : chosen) ++load[size_of(e)];
  std::vector<int> scale_row;
  for (int e = 0; e < sizes.experts; ++e) {
    if (load[size_of(e)] == 0) continue;
    const int tiled = static_cast<int>(scale_start_.empty() ? 0 : scale_start_.back() + tile_rows(load_.back()));
    touched_.push_back(e);
    load_.push_back((load[size_of(e)] + padding(format) - 1) / padding(format) * padding(format));
    start_.push_back(rows_);
    rows_ += load_.back();
    scale_start_.push_back(tiled);
    for (int row = 0; row < load_.back(); ++row) scale_row.push_back(tiled + row);
  }
  consecutive_ = touched_.back() - touched_.front() + 1 == static_cast<int>(touched_.size()) && std::all_of(load_.begin(), load_.end(), [&](int l) { return l == load_[0]; });
  touched_on_device_ = upload(touched_);
  start_on_device_ = upload(start_);
  const std::size_t experts = size_of(sizes.experts) * sizeof(int), pairs = chosen.size();
  chosen_ = upload(chosen);
  counts_ = DeviceBuffer(experts);
  starts_ = DeviceBuffer(experts);
  cursor_ = DeviceBuffer(experts);
  place_ = DeviceBuffer(pairs * sizeof(int));
  router_choice_ = DeviceBuffer(pairs * sizeof(int));
  router_weights_ = DeviceBuffer(pairs * sizeof(float));
  permuted_ = DeviceBuffer(format_bytes(format, std::int64_t{rows_} * sizes.hidden));
  inner_ = DeviceBuffer(size_of(std::int64_t{rows_} * sizes.inter) * 4);
  active_ = DeviceBuffer(format_bytes(format, std::int64_t{rows_} * sizes.inter));
  result_ = DeviceBuffer(size_of(std::int64_t{rows_} * sizes.hidden) * 2);
  MOEPLAN_CUDA(cudaMemset(permuted_.data(), 0, permuted_.size()));  // padding rows must be finite
  if (format == DeviceFormat::kNvfp4) scale_row_ = upload(scale_row);
  for (auto* group : {&up_, &down_}) {
    *group = std::make_unique<Group>();
    (*group)->n = group == &up_ ? 2 * sizes.inter : sizes.hidden;
    (*group)->k = group == &up_ ? sizes.hidden : sizes.inter;
  }
  batched_ = consecutive_ && format != DeviceFormat::kBf16;
  try {
    make_products(*up_);
    make_products(*down_);
  } catch (const Unsupported&) {
    if (!batched_) throw;
    batched_ = false;
    make_products(*up_);
    make_products(*down_);
  }
}

void ExpertPlan::make_products(Group& g) {
  const std::size_t count = touched_.size();
  g.plans.clear();
  if (format_ == DeviceFormat::kBf16) {
    g.m.assign(count, static_cast<int>(g.n));
    g.width = load_;
    g.depth.assign(count, static_cast<int>(g.k));
    g.ones.assign(count, 1);
    g.transposed.assign(count, CUBLAS_OP_T);
    g.plain.assign(count, CUBLAS_OP_N);
    g.alpha.assign(count, 1.0F);
    g.beta.assign(count, 0.0F);
    g.addresses = DeviceBuffer(3 * count * sizeof(void*));
    return;
  }
  if (batched_) {
    g.plans.push_back(std::make_unique<GemmPlan>(libraries_, load_[0], g.n, g.k, format_, static_cast<int>(count)));
  } else {
    for (const int m : load_) g.plans.push_back(std::make_unique<GemmPlan>(libraries_, m, g.n, g.k, format_));
  }
  if (format_ != DeviceFormat::kNvfp4) return;
  g.scales = DeviceBuffer(size_of(scale_bytes(scale_start_.back() + tile_rows(load_.back()), g.k / kFp4Block)));
  MOEPLAN_CUDA(cudaMemset(g.scales.data(), 0, g.scales.size()));  // of padding rows nobody writes any
}

ExpertPlan::~ExpertPlan() = default;

std::size_t ExpertPlan::weight_bytes(const Group& g) const {
  const std::size_t codes = format_bytes(format_, sizes_.experts * g.n * g.k);
  return format_ == DeviceFormat::kNvfp4 ? codes + size_of(sizes_.experts * scale_bytes(g.n, g.k / kFp4Block)) : codes;
}
std::size_t ExpertPlan::up_bytes() const { return weight_bytes(*up_); }
std::size_t ExpertPlan::down_bytes() const { return weight_bytes(*down_); }

const char* ExpertPlan::kernel() const {
  if (format_ == DeviceFormat::kBf16) return "grouped";
  return batched_ ? "strided-batched" : "per-expert";
}

void ExpertPlan::grouped(const Group& g, const std::byte* in, const std::byte* weights, std::uint16_t* out) {
  const std::size_t count = touched_.size();
  void** device = g.addresses.as<void*>();
  launch_set_addresses(static_cast<int>(count), touched_on_device_.as<int>(), start_on_device_.as<int>(), weights, 2 * g.n * g.k, in, 2 * g.k, out, 2 * g.n, device, libraries_.stream);
  MOEPLAN_CUDA(cublasGemmGroupedBatchedEx(libraries_.blas, g.transposed.data(), g.plain.data(), g.m.data(), g.width.data(), g.depth.data(), g.alpha.data(), device, CUDA_R_16BF,
                                          g.depth.data(), device + count, CUDA_R_16BF, g.depth.data(), g.beta.data(), device + 2 * count, CUDA_R_16BF, g.m.data(),
                                          static_cast<int>(count), g.ones.data(), CUBLAS_COMPUTE_32F));
}

void ExpertPlan::multiply(const Group& group, const std::byte* in, const std::byte* weights, std::uint16_t* out) {
  if (format_ == DeviceFormat::kBf16) return grouped(group, in, weights, out);
  const std::int64_t groups = group.k / kFp4Block;
  const std::byte* weight_scales = weights + format_bytes(format_, sizes_.experts * group.n * group.k);
  for (std::size_t i = 0; i < group.plans.size(); ++i) {
    const std::byte* of_expert = weights + format_bytes(format_, std::int64_t{touched_[i]} * group.n * group.k);
    BlockScales scales;
    if (format_ == DeviceFormat::kNvfp4) scales = {group.scales.data() + scale_bytes(scale_start_[i], groups), weight_scales + touched_[i] * scale_bytes(group.n, groups)};
    group.plans[i]->run(in + format_bytes(format_, std::int64_t{start_[i]} * group.k), of_expert, out + std::int64_t{start_[i]} * group.n, scales);
  }
}

void ExpertPlan::to_inputs(const std::uint16_t* x) {
  const int pairs = sizes_.tokens * sizes_.top_k;
  const int* place = place_.as<int>();
  cudaStream_t stream = libraries_.stream;
  switch (format_) {
    case DeviceFormat::kBf16: return launch_gather_bf16(pairs, sizes_.top_k, sizes_.hidden, place, x, permuted_.as<std::uint16_t>(), stream);
    case DeviceFormat::kFp8: return launch_gather_e4m3(pairs, sizes_.top_k, sizes_.hidden, place, x, permuted_.as<std::uint8_t>(), stream);
    case DeviceFormat::kNvfp4:
      return launch_gather_fp4(pairs, sizes_.top_k, sizes_.hidden, place, scale_row_.as<int>(), x, permuted_.as<std::uint64_t>(), up_->scales.as<std::uint8_t>(), stream);
  }
}

void ExpertPlan::activate() {
  const std::uint16_t* in = inner_.as<std::uint16_t>();
  cudaStream_t stream = libraries_.stream;
  switch (format_) {
    case DeviceFormat::kBf16: return launch_activate_bf16(rows_, sizes_.inter, in, active_.as<std::uint16_t>(), stream);
    case DeviceFormat::kFp8: return launch_activate_e4m3(rows_, sizes_.inter, in, active_.as<std::uint8_t>(), stream);
    case DeviceFormat::kNvfp4:
      return launch_activate_fp4(rows_, sizes_.inter, scale_row_.as<int>(), in, active_.as<std::uint64_t>(), down_->scales.as<std::uint8_t>(), stream);
  }
}

void ExpertPlan::run(const std::uint16_t* x, const float* logits, const float* weights, const std::byte* up, const std::byte* down, std::uint16_t* out) {
  const int pairs = sizes_.tokens * sizes_.top_k;
  cudaStream_t stream = libraries_.stream;
  // The router's choice is timed; the products follow the assignment that they were planned for.
  if (logits != nullptr) launch_softmax_topk(sizes_.tokens, sizes_.experts, sizes_.top_k, logits, router_choice_.as<int>(), router_weights_.as<float>(), stream);
  launch_place_pairs(pairs, sizes_.experts, padding(format_), chosen_.as<int>(), counts_.as<int>(), starts_.as<int>(), cursor_.as<int>(), place_.as<int>(), stream);
  to_inputs(x);
  multiply(*up_, permuted_.data(), up, inner_.as<std::uint16_t>());
  activate();
  multiply(*down_, active_.data(), down, result_.as<std::uint16_t>());
  launch_weighted_sum(sizes_.tokens, sizes_.top_k, sizes_.hidden, place_.as<int>(), logits != nullptr ? router_weights_.as<float>() : weights, result_.as<std::uint16_t>(), out, stream);
}

}  // namespace moeplan::bench
