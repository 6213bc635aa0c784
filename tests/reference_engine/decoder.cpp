#include "reference_engine/decoder.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "host/row_math.hpp"
#include "suite/numerics.hpp"

namespace moeplan::reference {
namespace {

constexpr int kLongest = 8192;     // positions with prepared angles
constexpr double kBase = 10000;    // of the rotary angles

std::size_t size_of(std::int64_t n) { return static_cast<std::size_t>(n); }

/// Rows that products may touch: padding rows hold old values, which nobody reads.
std::uint16_t* grown(std::vector<std::uint16_t>& buffer, int rows, int width) {
  const std::size_t wanted = size_of(std::int64_t{bench::MatrixProduct::rows(rows)} * width);
  if (buffer.size() < wanted) buffer.resize(wanted);
  return buffer.data();
}

}  // namespace

Decoder::Decoder(Model& model, int blocks)
    : model_(model), layer_elements_(size_of(blocks) * model.config().attention().block_elements()),
      cache_(layer_elements_ * size_of(model.config().layers) * sizeof(std::uint16_t)) {
  const int half = model.config().head_dim / 2;
  for (int position = 0; position < kLongest; ++position) {
    for (int i = 0; i < half; ++i) {
      const double angle = position * std::pow(kBase, -static_cast<double>(i) / half);
      cosines_.push_back(static_cast<float>(std::cos(angle)));
      sines_.push_back(static_cast<float>(std::sin(angle)));
    }
  }
}

std::uint16_t* Decoder::pool(int layer) { return cache_.as<std::uint16_t>() + size_of(layer) * layer_elements_; }

void Decoder::book(Operation operation) {
  const auto now = std::chrono::steady_clock::now();
  booked_[static_cast<std::size_t>(operation)] += std::chrono::duration<double>(now - last_).count();
  last_ = now;
}

StepResult Decoder::step(std::span<const Slice> slices) {
  booked_ = {};
  last_ = std::chrono::steady_clock::now();
  embed(slices);
  StepResult result;
  for (int layer = 0; layer < model_.config().layers; ++layer) {
    attention(layer, slices);
    result.distinct_experts += feed_forward(layer) / model_.config().layers;
  }
  sample(slices, result);
  result.seconds = booked_;
  return result;
}

void Decoder::embed(std::span<const Slice> slices) {
  tokens_ = 0;
  for (const Slice& slice : slices) tokens_ += static_cast<int>(slice.tokens.size());
  MOEPLAN_CHECK(tokens_ > 0);
  const int hidden = model_.config().hidden;
  std::uint16_t* row = grown(stream_, tokens_, hidden);
  for (const Slice& slice : slices) {
    MOEPLAN_CHECK(slice.position + static_cast<int>(slice.tokens.size()) <= kLongest);
    for (const std::int32_t token : slice.tokens) row = std::copy_n(model_.embedding(token), hidden, row);
  }
}

void Decoder::rotate_and_store(int layer, std::span<const Slice> slices) {
  const ModelConfig& c = model_.config();
  const int half = c.head_dim / 2;
  std::uint16_t* q = grown(queries_, tokens_, c.heads * c.head_dim);
  int row = 0;
  for (const Slice& slice : slices) {
    for (int i = 0; i < static_cast<int>(slice.tokens.size()); ++i, ++row) {
      const int position = slice.position + i;
      const float* cosine = cosines_.data() + std::ptrdiff_t{position} * half;
      const float* sine = sines_.data() + std::ptrdiff_t{position} * half;
      std::uint16_t* token = qkv_.data() + std::ptrdiff_t{row} * c.qkv();
      for (int head = 0; head < c.heads + c.kv_heads; ++head) bench::rotate_head(token + std::ptrdiff_t{head} * c.head_dim, half, cosine, sine);
      std::copy_n(token, c.heads * c.head_dim, q + std::ptrdiff_t{row} * c.heads * c.head_dim);
      const std::uint16_t* key = token + std::ptrdiff_t{c.heads} * c.head_dim;
      bench::store_token(c.attention(), pool(layer), slice.blocks, position, key, key + std::ptrdiff_t{c.kv_heads} * c.head_dim);
    }
  }
}

void Decoder::attention(int layer, std::span<const Slice> slices) {
  const ModelConfig& c = model_.config();
  const int width = c.heads * c.head_dim;
  bench::rms_norm_rows(tokens_, c.hidden, stream_.data(), grown(normed_, tokens_, c.hidden));
  book(Operation::kElementwise);
  model_.qkv_product.run(tokens_, normed_.data(), model_.layer(layer).qkv.data(), grown(qkv_, tokens_, c.qkv()));
  book(Operation::kProducts);
  rotate_and_store(layer, slices);
  book(Operation::kElementwise);
  std::uint16_t* out = grown(attended_, tokens_, width);
  decodes_.clear();
  std::ptrdiff_t row = 0;
  for (const Slice& slice : slices) {
    const int count = static_cast<int>(slice.tokens.size());
    const bench::PagedSequence sequence{slice.blocks, slice.position + count};
    if (count == 1) {
      MOEPLAN_CHECK(row == static_cast<std::ptrdiff_t>(decodes_.size()));
      decodes_.push_back(sequence);
    } else {
      bench::prefill_attention(c.attention(), pool(layer), sequence, count, queries_.data() + row * width, out + row * width);
    }
    row += count;
  }
  bench::decode_attention(c.attention(), pool(layer), decodes_, queries_.data(), out);
  book(Operation::kAttention);
  model_.output_product.run(tokens_, out, model_.layer(layer).output.data(), grown(delta_, tokens_, c.hidden));
  book(Operation::kProducts);
  bench::add_rows(tokens_, c.hidden, delta_.data(), stream_.data());
}

double Decoder::feed_forward(int layer) {
  const ModelConfig& c = model_.config();
  bench::rms_norm_rows(tokens_, c.hidden, stream_.data(), normed_.data());
  book(Operation::kElementwise);
  double distinct = 0;
  if (c.experts > 0) distinct = mixture(model_.layer(layer));
  else dense(model_.layer(layer));
  bench::add_rows(tokens_, c.hidden, delta_.data(), stream_.data());
  return distinct;
}

void Decoder::dense(const Model::Layer& layer) {
  const ModelConfig& c = model_.config();
  model_.gate_up_product.run(tokens_, normed_.data(), layer.ffn.data(), grown(inner_, tokens_, 2 * c.inter));
  book(Operation::kProducts);
  bench::gated_activation(tokens_, c.inter, inner_.data(), grown(active_, tokens_, c.inter));
  book(Operation::kElementwise);
  model_.down_product.run(tokens_, active_.data(), layer.ffn.data() + model_.down_offset(), delta_.data());
  book(Operation::kProducts);
}

double Decoder::mixture(const Model::Layer& layer) {
  const ModelConfig& c = model_.config();
  model_.router_product.run(tokens_, normed_.data(), layer.router.data(), grown(router_bits_, tokens_, c.experts));
  router_logits_.resize(size_of(std::int64_t{tokens_} * c.experts));
  std::transform(router_bits_.begin(), router_bits_.begin() + static_cast<std::ptrdiff_t>(router_logits_.size()), router_logits_.begin(), bench::from_bf16);
  book(Operation::kRouter);
  bench::softmax_topk(tokens_, model_.experts->dims(), router_logits_.data(), routing_);
  model_.experts->run(tokens_, normed_.data(), routing_, layer.ffn.data(), delta_.data());
  book(Operation::kExperts);
  std::vector<bool> seen(size_of(c.experts), false);
  for (const int expert : routing_.experts) seen[size_of(expert)] = true;
  return static_cast<double>(std::count(seen.begin(), seen.end(), true));
}

void Decoder::sample(std::span<const Slice> slices, StepResult& result) {
  const ModelConfig& c = model_.config();
  book(Operation::kElementwise);
  int rows = 0;
  std::ptrdiff_t row = -1;
  // Sampled rows move up to the front: a row never moves down.
  for (const Slice& slice : slices) {
    row += static_cast<std::ptrdiff_t>(slice.tokens.size());
    if (slice.samples) std::copy_n(stream_.data() + row * c.hidden, c.hidden, stream_.data() + std::ptrdiff_t{rows++} * c.hidden);
  }
  if (rows == 0) {
    logits_.clear();
    return;
  }
  bench::rms_norm_rows(rows, c.hidden, stream_.data(), normed_.data());
  logits_.resize(size_of(std::int64_t{bench::MatrixProduct::rows(rows)} * c.vocab));
  model_.head_product.run(rows, normed_.data(), model_.head().data(), logits_.data());
  logits_.resize(size_of(std::int64_t{rows} * c.vocab));
  for (int r = 0; r < rows; ++r) result.next.push_back(bench::largest(logits_.data() + std::ptrdiff_t{r} * c.vocab, c.vocab));
  book(Operation::kHead);
}

void Decoder::warm_up(int tokens) {
  const ModelConfig& c = model_.config();
  const int widest = std::max({c.hidden, c.qkv(), c.heads * c.head_dim, 2 * c.inter, c.vocab});
  std::vector<std::uint16_t> in, out;
  grown(in, tokens, widest);
  grown(out, tokens, widest);
  const Model::Layer& layer = model_.layer(0);
  for (int m = 4; m <= bench::MatrixProduct::rows(tokens); m = bench::MatrixProduct::rows(m + 1)) {
    model_.qkv_product.run(m, in.data(), layer.qkv.data(), out.data());
    model_.output_product.run(m, in.data(), layer.output.data(), out.data());
    model_.head_product.run(m, in.data(), model_.head().data(), out.data());
    if (c.experts == 0) {
      model_.gate_up_product.run(m, in.data(), layer.ffn.data(), out.data());
      model_.down_product.run(m, in.data(), layer.ffn.data() + model_.down_offset(), out.data());
      continue;
    }
    model_.router_product.run(m, in.data(), layer.router.data(), out.data());
    // Everybody to the first experts: one expert sees m rows.
    bench::Routing routing;
    for (int t = 0; t < m; ++t) {
      for (int k = 0; k < c.top_k; ++k) {
        routing.experts.push_back(k);
        routing.weights.push_back(1.0F / static_cast<float>(c.top_k));
      }
    }
    model_.experts->run(m, in.data(), routing, layer.ffn.data(), out.data());
  }
}

}  // namespace moeplan::reference
