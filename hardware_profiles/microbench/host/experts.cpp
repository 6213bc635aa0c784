#include "host/experts.hpp"

#include <algorithm>
#include <cmath>

#include "host/vector_math.hpp"
#include "suite/backend.hpp"

namespace moeplan::bench {
namespace {

std::size_t size_of(std::int64_t n) { return static_cast<std::size_t>(n); }

constexpr std::size_t kAlign = 4096;
std::size_t aligned(std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

template <class Element>
MOEPLAN_INLINE void activate(std::ptrdiff_t count, const Element* gate, const Element* up, Element* out) {
  for (std::ptrdiff_t i = 0; i < count; i += kLanes) {
    Floats g, u, e;
    load(gate + i, g);
    load(up + i, u);
    e = -g;
    exponential(e);
    const Floats result = g / (1 + e) * u;
    store(out + i, result);
  }
}
MOEPLAN_CLONES void activate_row(std::ptrdiff_t count, const std::uint16_t* gate, const std::uint16_t* up, std::uint16_t* out) { activate(count, gate, up, out); }
MOEPLAN_CLONES void activate_row(std::ptrdiff_t count, const float* gate, const float* up, float* out) { activate(count, gate, up, out); }

template <class Element>
MOEPLAN_INLINE void combine(int hidden, int choices, const int* place, const float* weights, const Element* rows, Element* out) {
  for (std::ptrdiff_t i = 0; i < hidden; i += kLanes) {
    Floats sum = {};
    for (int c = 0; c < choices; ++c) {
      Floats row;
      load(rows + static_cast<std::ptrdiff_t>(place[c]) * hidden + i, row);
      sum += weights[c] * row;
    }
    store(out + i, sum);
  }
}
MOEPLAN_CLONES void combine_row(int hidden, int choices, const int* place, const float* weights, const std::uint16_t* rows, std::uint16_t* out) {
  combine(hidden, choices, place, weights, rows, out);
}
MOEPLAN_CLONES void combine_row(int hidden, int choices, const int* place, const float* weights, const float* rows, float* out) {
  combine(hidden, choices, place, weights, rows, out);
}

}  // namespace

void softmax_topk(int tokens, const ExpertDims& d, const float* logits, Routing& routing) {
  routing.experts.resize(size_of(std::int64_t{tokens} * d.top_k));
  routing.weights.resize(routing.experts.size());
#pragma omp parallel for schedule(static) if (tokens > 64)
  for (int t = 0; t < tokens; ++t) {
    const float* row = logits + std::ptrdiff_t{t} * d.experts;
    int* experts = routing.experts.data() + std::ptrdiff_t{t} * d.top_k;
    float* weights = routing.weights.data() + std::ptrdiff_t{t} * d.top_k;
    int held = 0;
    for (int e = 0; e < d.experts; ++e) {
      if (held == d.top_k && !(row[e] > row[experts[held - 1]])) continue;
      int at = held < d.top_k ? held++ : held - 1;
      for (; at > 0 && row[e] > row[experts[at - 1]]; --at) experts[at] = experts[at - 1];
      experts[at] = e;
    }
    float sum = 0;
    for (int c = 0; c < d.top_k; ++c) sum += weights[c] = std::exp(row[experts[c]] - row[experts[0]]);
    for (int c = 0; c < d.top_k; ++c) weights[c] /= sum;
  }
}

void permute(int tokens, const ExpertDims& d, const std::vector<int>& experts, Permutation& out) {
  const std::size_t pairs = size_of(std::int64_t{tokens} * d.top_k);
  out.load.assign(size_of(d.experts), 0);
  out.start.resize(size_of(d.experts));
  out.place.resize(pairs);
  for (std::size_t i = 0; i < pairs; ++i) ++out.load[size_of(experts[i])];
  out.rows = 0;
  for (std::size_t e = 0; e < out.load.size(); ++e) {
    out.start[e] = out.rows;
    if (out.load[e] > 0) out.rows += MatrixProduct::rows(out.load[e]);
  }
  std::vector<int>& next = out.start;  // runs ahead while placing, put back after
  for (std::size_t i = 0; i < pairs; ++i) out.place[i] = next[size_of(experts[i])]++;
  for (std::size_t e = 0; e < out.load.size(); ++e) out.start[e] -= out.load[e];
}

template <class Element>
void gated_activation(int rows, int inter, const Element* gate_up, Element* out) {
#pragma omp parallel for schedule(static) if (rows > 8)
  for (int r = 0; r < rows; ++r) {
    const Element* row = gate_up + std::ptrdiff_t{2} * r * inter;
    activate_row(inter, row, row + inter, out + std::ptrdiff_t{r} * inter);
  }
}

template <class Element>
void weighted_sum(int tokens, const ExpertDims& d, const Permutation& p, const float* weights, const Element* rows, Element* out) {
#pragma omp parallel for schedule(static) if (tokens > 8)
  for (int t = 0; t < tokens; ++t) {
    combine_row(d.hidden, d.top_k, p.place.data() + std::ptrdiff_t{t} * d.top_k, weights + std::ptrdiff_t{t} * d.top_k, rows, out + std::ptrdiff_t{t} * d.hidden);
  }
}

template <class Element>
void gather_rows(int tokens, const ExpertDims& d, const Permutation& p, const Element* x, Element* rows) {
#pragma omp parallel for schedule(static) if (tokens > 8)
  for (int t = 0; t < tokens; ++t) {
    for (int c = 0; c < d.top_k; ++c) {
      std::copy_n(x + std::ptrdiff_t{t} * d.hidden, d.hidden, rows + std::ptrdiff_t{p.place[size_of(std::int64_t{t} * d.top_k + c)]} * d.hidden);
    }
  }
}

ExpertLayer::ExpertLayer(const ExpertDims& dims, HostFormat format)
    : dims_(dims), format_(format), up_(2 * dims.inter, dims.hidden, format), down_(dims.hidden, dims.inter, format),
      up_bytes_(aligned(up_.packed_bytes())), down_bytes_(aligned(down_.packed_bytes())) {
  if (format == HostFormat::kInt8) throw Unsupported("experts in int8 are not built");
}

void ExpertLayer::pack(std::span<const float> gate_up, std::span<const float> down, std::byte* packed) const {
  up_.pack(gate_up, packed);
  down_.pack(down, packed + up_bytes_);
}

void ExpertLayer::run(int tokens, const void* x, const Routing& routing, const std::byte* packed, void* out) {
  if (format_ == HostFormat::kFp32) run_as(tokens, static_cast<const float*>(x), routing, packed, static_cast<float*>(out));
  else run_as(tokens, static_cast<const std::uint16_t*>(x), routing, packed, static_cast<std::uint16_t*>(out));
}

template <class Element>
void ExpertLayer::run_as(int tokens, const Element* x, const Routing& routing, const std::byte* packed, Element* out) {
  permute(tokens, dims_, routing.experts, permutation_);
  const std::size_t rows = size_of(permutation_.rows), hidden = size_of(dims_.hidden), inter = size_of(dims_.inter);
  const auto grow = [](std::vector<std::byte>& buffer, std::size_t elements) {
    if (buffer.size() < elements * sizeof(Element)) buffer.resize(elements * sizeof(Element));
    return reinterpret_cast<Element*>(buffer.data());
  };
  // Input rows are spent once multiplied: the second product writes its results over them.
  Element* permuted = grow(rows_, rows * hidden);
  Element* inner = grow(inner_, rows * inter * 2);
  Element* active = grow(active_, rows * inter);
  gather_rows(tokens, dims_, permutation_, x, permuted);
  for (std::size_t e = 0; e < permutation_.load.size(); ++e) {
    const int load = permutation_.load[e];
    if (load == 0) continue;
    const std::size_t start = size_of(permutation_.start[e]);
    const std::byte* weights = packed + e * expert_bytes();
    up_.run(load, permuted + start * hidden, weights, inner + start * inter * 2);
    gated_activation(load, dims_.inter, inner + start * inter * 2, active + start * inter);
    down_.run(load, active + start * inter, weights + up_bytes_, permuted + start * hidden);
  }
  weighted_sum(tokens, dims_, permutation_, routing.weights.data(), permuted, out);
}

#define MOEPLAN_INSTANTIATE(Element)                                                                                        \
  template void gated_activation(int, int, const Element*, Element*);                                                       \
  template void weighted_sum(int, const ExpertDims&, const Permutation&, const float*, const Element*, Element*);           \
  template void gather_rows(int, const ExpertDims&, const Permutation&, const Element*, Element*);
MOEPLAN_INSTANTIATE(std::uint16_t)
MOEPLAN_INSTANTIATE(float)
#undef MOEPLAN_INSTANTIATE

}  // namespace moeplan::bench
