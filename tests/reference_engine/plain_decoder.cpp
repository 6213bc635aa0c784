#include "reference_engine/plain_decoder.hpp"

#include <cmath>

#include "suite/reference.hpp"

namespace moeplan::reference {
namespace {

using Row = std::vector<double>;
std::size_t size_of(int n) { return static_cast<std::size_t>(n); }

std::vector<float> floats(const Row& row) { return {row.begin(), row.end()}; }

Row normed(const Row& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  Row out = x;
  for (double& v : out) v /= std::sqrt(sum / static_cast<double>(x.size()) + 1e-5);
  return out;
}

Row times(const std::vector<float>& weights, const Row& x, int outputs) {
  return bench::reference_gemm(1, outputs, static_cast<int>(x.size()), floats(x), weights);
}

void rotate(Row& x, int first, int dim, int position) {
  for (int i = 0; i < dim / 2; ++i) {
    const double angle = position * std::pow(10000.0, -2.0 * i / dim);
    double& a = x[size_of(first + i)];
    double& b = x[size_of(first + i + dim / 2)];
    const double turned = a * std::cos(angle) - b * std::sin(angle);
    b = a * std::sin(angle) + b * std::cos(angle);
    a = turned;
  }
}

void attended(const ModelConfig& c, int layer, const std::vector<Row>& stream, std::vector<Row>& out) {
  const std::vector<float> weights = plain_weights(c, Tensor::kQkv, layer);
  std::vector<float> q, k, v;
  for (std::size_t t = 0; t < stream.size(); ++t) {
    Row qkv = times(weights, normed(stream[t]), c.qkv());
    for (int head = 0; head < c.heads + c.kv_heads; ++head) rotate(qkv, head * c.head_dim, c.head_dim, static_cast<int>(t));
    const auto at = [&](int head) { return qkv.begin() + head * c.head_dim; };
    q.insert(q.end(), at(0), at(c.heads));
    k.insert(k.end(), at(c.heads), at(c.heads + c.kv_heads));
    v.insert(v.end(), at(c.heads + c.kv_heads), qkv.end());
  }
  const Row all = bench::reference_prefill(static_cast<int>(stream.size()), 0, c.heads, c.kv_heads, c.head_dim, q, k, v);
  const std::vector<float> output = plain_weights(c, Tensor::kOutput, layer);
  const int width = c.heads * c.head_dim;
  for (std::size_t t = 0; t < stream.size(); ++t) {
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(t) * width;
    out.push_back(times(output, Row(first, first + width), c.hidden));
  }
}

Row fed_forward(const ModelConfig& c, int layer, const Row& x) {
  if (c.experts == 0) {
    const std::vector<int> only = {0};
    const std::vector<float> one = {1};
    return bench::reference_experts(1, c.hidden, c.inter, 1, floats(x), only, one, plain_weights(c, Tensor::kGateUp, layer), plain_weights(c, Tensor::kDown, layer));
  }
  const Row logits = times(plain_weights(c, Tensor::kRouter, layer), x, c.experts);
  const bench::TopK best = bench::reference_topk(1, c.experts, c.top_k, floats(logits));
  Row sum(size_of(c.hidden), 0);
  for (int i = 0; i < c.top_k; ++i) {
    const int expert = best.experts[size_of(i)];
    const std::vector<int> only = {0};
    const std::vector<float> weight = {static_cast<float>(best.weights[size_of(i)])};
    const Row part = bench::reference_experts(1, c.hidden, c.inter, 1, floats(x), only, weight, plain_weights(c, Tensor::kGateUp, layer, expert),
                                              plain_weights(c, Tensor::kDown, layer, expert));
    for (std::size_t h = 0; h < sum.size(); ++h) sum[h] += part[h];
  }
  return sum;
}

}  // namespace

std::vector<double> plain_logits(const ModelConfig& c, std::span<const std::int32_t> tokens) {
  const std::vector<float> embedding = plain_weights(c, Tensor::kEmbedding);
  std::vector<Row> stream;
  for (const std::int32_t token : tokens) {
    const auto first = embedding.begin() + static_cast<std::ptrdiff_t>(token) * c.hidden;
    stream.emplace_back(first, first + c.hidden);
  }
  for (int layer = 0; layer < c.layers; ++layer) {
    std::vector<Row> added;
    attended(c, layer, stream, added);
    for (std::size_t t = 0; t < stream.size(); ++t) {
      for (std::size_t h = 0; h < size_of(c.hidden); ++h) stream[t][h] += added[t][h];
      const Row more = fed_forward(c, layer, normed(stream[t]));
      for (std::size_t h = 0; h < size_of(c.hidden); ++h) stream[t][h] += more[h];
    }
  }
  return times(plain_weights(c, Tensor::kHead), normed(stream.back()), c.vocab);
}

}  // namespace moeplan::reference
