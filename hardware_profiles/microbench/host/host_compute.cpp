// The host's kernels on given operands, for verification: operands arrive as plain floats that the format represents exactly.
#include <algorithm>

#include "base/error.hpp"
#include "host/host_work.hpp"
#include "host/row_math.hpp"
#include "suite/numerics.hpp"

namespace moeplan::bench {
namespace {

std::size_t size_of(std::int64_t n) { return static_cast<std::size_t>(n); }

template <class Element>
Element element_of(float x) {
  if constexpr (sizeof(Element) == 2) return to_bf16(x);
  else return static_cast<Element>(x);
}
template <class Element>
float number_of(Element x) {
  if constexpr (sizeof(Element) == 2) return from_bf16(x);
  else return static_cast<float>(x);
}

template <class Element>
std::vector<Element> elements(const std::vector<float>& values, std::size_t at_least = 0) {
  std::vector<Element> out(std::max(values.size(), at_least));
  std::transform(values.begin(), values.end(), out.begin(), element_of<Element>);
  return out;
}
template <class Element>
std::vector<float> numbers(const Element* values, std::size_t count) {
  std::vector<float> out(count);
  std::transform(values, values + count, out.begin(), number_of<Element>);
  return out;
}

template <class In, class Out>
std::vector<float> gemm_as(const Problem& p) {
  const int m = static_cast<int>(p.shape.integer("m")), n = static_cast<int>(p.shape.integer("n")), k = static_cast<int>(p.shape.integer("k"));
  MatrixProduct product(n, k, host_format(p.shape.text("dtype")));
  const Buffer packed(product.packed_bytes());
  product.pack(p.operands[1], packed.data());
  const std::size_t rows = size_of(MatrixProduct::rows(m));
  const std::vector<In> a = elements<In>(p.operands[0], rows * size_of(k));
  std::vector<Out> out(rows * size_of(n));
  product.run(m, a.data(), packed.data(), out.data());
  return numbers(out.data(), size_of(m) * size_of(n));
}

template <class Element>
std::vector<float> experts_as(const Problem& p) {
  const Case& c = p.shape;
  const ExpertDims d{static_cast<int>(c.integer("hidden")), static_cast<int>(c.integer("inter")), static_cast<int>(c.integer("experts")), static_cast<int>(c.integer("top_k"))};
  const int tokens = static_cast<int>(c.integer("tokens"));
  ExpertLayer layer(d, host_format(c.text("dtype")));
  const Buffer packed(layer.expert_bytes() * size_of(d.experts));
  const std::size_t up = size_of(2) * size_of(d.inter) * size_of(d.hidden), down = up / 2;
  for (std::size_t e = 0; e < size_of(d.experts); ++e) {
    layer.pack({p.operands[2].data() + e * up, up}, {p.operands[3].data() + e * down, down}, packed.data() + e * layer.expert_bytes());
  }
  const std::vector<Element> x = elements<Element>(p.operands[0]);
  std::vector<Element> out(x.size());
  layer.run(tokens, x.data(), {p.experts, p.operands[1]}, packed.data(), out.data());
  return numbers(out.data(), out.size());
}

std::vector<float> router_result(const Problem& p) {
  const Case& c = p.shape;
  const ExpertDims d{static_cast<int>(c.integer("hidden")), 0, static_cast<int>(c.integer("experts")), static_cast<int>(c.integer("top_k"))};
  const int tokens = static_cast<int>(c.integer("tokens"));
  Routing routing;
  softmax_topk(tokens, d, p.operands[0].data(), routing);
  if (c.text("op") == "softmax_topk") {
    std::vector<float> out;
    for (std::size_t i = 0; i < routing.experts.size(); ++i) out.insert(out.end(), {static_cast<float>(routing.experts[i]), routing.weights[i]});
    return out;
  }
  Permutation permutation;
  permute(tokens, d, routing.experts, permutation);
  std::vector<float> rows(size_of(permutation.rows) * size_of(d.hidden)), out(size_of(tokens) * size_of(d.hidden));
  gather_rows(tokens, d, permutation, p.operands[1].data(), rows.data());
  weighted_sum(tokens, d, permutation, routing.weights.data(), rows.data(), out.data());
  return out;
}

template <class Element>
std::vector<float> attention_as(const Problem& p) {
  const Case& c = p.shape;
  const bool decodes = c.op == Op::kAttentionDecode;
  const AttentionHeads h{static_cast<int>(c.integer("heads")), static_cast<int>(c.integer("kv_heads")), static_cast<int>(c.integer("head_dim"))};
  const int batch = static_cast<int>(c.integer("batch"));
  const int queries = decodes ? 1 : static_cast<int>(c.integer("q_len"));
  const int tokens = decodes ? static_cast<int>(c.integer("kv_len")) : queries + static_cast<int>(c.integer("prefix"));
  const std::vector<Element> q = elements<Element>(p.operands[0]), k = elements<Element>(p.operands[1]), v = elements<Element>(p.operands[2]);
  const int each = (tokens + kBlockTokens - 1) / kBlockTokens, blocks = each * batch;
  std::vector<std::int32_t> table;
  for (int i = 0; i < blocks; ++i) table.push_back(blocks - 1 - i);  // backwards: a wrong table shows
  std::vector<Element> pool(size_of(blocks) * h.block_elements());
  std::vector<PagedSequence> sequences;
  const std::size_t row = size_of(h.kv_heads) * size_of(h.dim);
  for (int s = 0; s < batch; ++s) {
    sequences.push_back({table.data() + std::ptrdiff_t{s} * each, tokens});
    for (int t = 0; t < tokens; ++t) {
      const std::size_t at = (size_of(s) * size_of(tokens) + size_of(t)) * row;
      store_token(h, pool.data(), sequences.back().blocks, t, k.data() + at, v.data() + at);
    }
  }
  std::vector<Element> out(q.size());
  if (decodes) decode_attention(h, pool.data(), sequences, q.data(), out.data());
  else prefill_attention(h, pool.data(), sequences[0], queries, q.data(), out.data());
  return numbers(out.data(), out.size());
}

std::vector<float> latent_result(const Problem& p) {
  const Case& c = p.shape;
  const int batch = static_cast<int>(c.integer("batch")), heads = static_cast<int>(c.integer("heads"));
  const auto q = elements<std::uint16_t>(p.operands[0]), rows = elements<std::uint16_t>(p.operands[1]);
  std::vector<std::uint16_t> out(size_of(batch) * size_of(heads) * kLatent);
  latent_decode(batch, static_cast<int>(c.integer("kv_len")), heads, rows.data(), q.data(), out.data());
  return numbers(out.data(), out.size());
}

std::vector<float> norm_result(const Problem& p) {
  const int tokens = static_cast<int>(p.shape.integer("tokens")), hidden = static_cast<int>(p.shape.integer("hidden"));
  const auto a = elements<std::uint16_t>(p.operands[0]);
  auto stream = elements<std::uint16_t>(p.operands[1]);
  std::vector<std::uint16_t> out(stream.size());
  add_rows(tokens, hidden, a.data(), stream.data());
  rms_norm_rows(tokens, hidden, stream.data(), out.data());
  return numbers(out.data(), out.size());
}

}  // namespace

std::vector<float> compute_on_host(const Problem& p) {
  switch (p.shape.op) {
    case Op::kGemm:
      if (p.shape.text("dtype") == "int8") return gemm_as<std::uint8_t, std::int32_t>(p);
      return p.shape.text("dtype") == "fp32" ? gemm_as<float, float>(p) : gemm_as<std::uint16_t, std::uint16_t>(p);
    case Op::kMoe: return p.shape.text("dtype") == "fp32" ? experts_as<float>(p) : experts_as<std::uint16_t>(p);
    case Op::kRouter: return router_result(p);
    case Op::kAttentionDecode:
    case Op::kAttentionPrefill: return p.shape.text("kv_dtype") == "fp32" ? attention_as<float>(p) : attention_as<std::uint16_t>(p);
    case Op::kMlaDecode: return latent_result(p);
    case Op::kElementwise: return norm_result(p);
    case Op::kCopy:
    case Op::kLaunch:
    case Op::kCollective: break;
  }
  return {};
}

}  // namespace moeplan::bench
