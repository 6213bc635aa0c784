#include "suite/reference.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace moeplan::bench {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// softmax(scores) weighted sum of `value(key, d)`.
template <class Value>
void attend(Numbers& scores, std::int64_t width, double* out, const Value& value) {
  const double top = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& s : scores) sum += s = std::exp(s - top);
  for (std::int64_t d = 0; d < width; ++d) {
    double total = 0;
    for (std::size_t key = 0; key < scores.size(); ++key) total += scores[key] * value(static_cast<std::int64_t>(key), d);
    out[d] = total / sum;
  }
}

}  // namespace

Numbers reference_gemm(std::int64_t m, std::int64_t n, std::int64_t k, std::span<const float> a, std::span<const float> b) {
  Numbers out(at(m * n));
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t l = 0; l < k; ++l) sum += static_cast<double>(a[at(i * k + l)]) * static_cast<double>(b[at(j * k + l)]);
      out[at(i * n + j)] = sum;
    }
  }
  return out;
}

Numbers reference_prefill(int queries, int prefix, int heads, int kv_heads, int dim, std::span<const float> q, std::span<const float> k,
                          std::span<const float> v) {
  Numbers out(at(std::int64_t{queries} * heads * dim));
  const auto key_at = [&](std::int64_t key, int head, std::int64_t d) { return at((key * kv_heads + head / (heads / kv_heads)) * dim + d); };
  for (int i = 0; i < queries; ++i) {
    for (int head = 0; head < heads; ++head) {
      const std::int64_t row = (std::int64_t{i} * heads + head) * dim;
      Numbers scores(at(prefix + i + 1));
      for (std::size_t key = 0; key < scores.size(); ++key) {
        double sum = 0;
        for (int d = 0; d < dim; ++d) sum += static_cast<double>(q[at(row + d)]) * static_cast<double>(k[key_at(static_cast<std::int64_t>(key), head, d)]);
        scores[key] = sum / std::sqrt(dim);
      }
      attend(scores, dim, &out[at(row)], [&](std::int64_t key, std::int64_t d) { return static_cast<double>(v[key_at(key, head, d)]); });
    }
  }
  return out;
}

Numbers reference_decode(int batch, int length, int heads, int kv_heads, int dim, std::span<const float> q, std::span<const float> k,
                         std::span<const float> v) {
  Numbers out;
  const std::size_t row = at(std::int64_t{heads} * dim), keys = at(std::int64_t{length} * kv_heads * dim);
  for (std::size_t b = 0; b < at(batch); ++b) {
    const Numbers one = reference_prefill(1, length - 1, heads, kv_heads, dim, q.subspan(b * row, row), k.subspan(b * keys, keys), v.subspan(b * keys, keys));
    out.insert(out.end(), one.begin(), one.end());
  }
  return out;
}

Numbers reference_mla(int batch, int length, int heads, int latent, int rope, std::span<const float> q, std::span<const float> rows) {
  const std::int64_t width = latent + rope;
  Numbers out(at(std::int64_t{batch} * heads * latent));
  for (int b = 0; b < batch; ++b) {
    for (int head = 0; head < heads; ++head) {
      Numbers scores(at(length));
      for (int key = 0; key < length; ++key) {
        double sum = 0;
        for (std::int64_t d = 0; d < width; ++d) {
          sum += static_cast<double>(q[at((std::int64_t{b} * heads + head) * width + d)]) * static_cast<double>(rows[at((std::int64_t{b} * length + key) * width + d)]);
        }
        scores[at(key)] = sum / std::sqrt(192.0);
      }
      attend(scores, latent, &out[at((std::int64_t{b} * heads + head) * latent)],
             [&](std::int64_t key, std::int64_t d) { return static_cast<double>(rows[at((std::int64_t{b} * length + key) * width + d)]); });
    }
  }
  return out;
}

Numbers reference_experts(std::int64_t tokens, int hidden, int inter, int top_k, std::span<const float> x, std::span<const int> chosen,
                          std::span<const float> weights, std::span<const float> up, std::span<const float> down) {
  Numbers out(at(tokens * hidden), 0);
  const auto dot = [](std::span<const float> w, std::int64_t row, std::int64_t width, const auto& vector) {
    double sum = 0;
    for (std::int64_t i = 0; i < width; ++i) sum += static_cast<double>(w[at(row * width + i)]) * static_cast<double>(vector[at(i)]);
    return sum;
  };
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::span<const float> row = x.subspan(at(t * hidden), at(hidden));
    for (int c = 0; c < top_k; ++c) {
      const std::int64_t expert = chosen[at(t * top_k + c)];
      Numbers inner(at(inter));
      for (std::int64_t i = 0; i < inter; ++i) {
        const double gate = dot(up, expert * 2 * inter + i, hidden, row);
        inner[at(i)] = gate / (1 + std::exp(-gate)) * dot(up, expert * 2 * inter + inter + i, hidden, row);
      }
      for (std::int64_t h = 0; h < hidden; ++h) {
        out[at(t * hidden + h)] += static_cast<double>(weights[at(t * top_k + c)]) * dot(down, expert * hidden + h, inter, inner);
      }
    }
  }
  return out;
}

TopK reference_topk(std::int64_t tokens, int experts, int top_k, std::span<const float> logits) {
  TopK result;
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::span<const float> row = logits.subspan(at(t * experts), at(experts));
    std::vector<int> order(at(experts));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return row[at(a)] > row[at(b)]; });
    double sum = 0;
    for (int c = 0; c < top_k; ++c) sum += std::exp(static_cast<double>(row[at(order[at(c)])]) - static_cast<double>(row[at(order[0])]));
    for (int c = 0; c < top_k; ++c) {
      result.experts.push_back(order[at(c)]);
      result.weights.push_back(std::exp(static_cast<double>(row[at(order[at(c)])]) - static_cast<double>(row[at(order[0])])) / sum);
    }
  }
  return result;
}

std::vector<double> reference_norm(std::int64_t rows, std::int64_t width, const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<double> out(a.begin(), a.end());
  for (std::int64_t r = 0; r < rows; ++r) {
    double squares = 0;
    for (std::int64_t i = r * width; i < (r + 1) * width; ++i) {
      double& x = out[static_cast<std::size_t>(i)];
      x += static_cast<double>(b[static_cast<std::size_t>(i)]);
      squares += x * x;
    }
    const double scale = 1 / std::sqrt(squares / static_cast<double>(width) + 1e-5);
    for (std::int64_t i = r * width; i < (r + 1) * width; ++i) out[static_cast<std::size_t>(i)] *= scale;
  }
  return out;
}

}  // namespace moeplan::bench
