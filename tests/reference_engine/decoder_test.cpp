#include "reference_engine/decoder.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "reference_engine/plain_decoder.hpp"
#include "suite/numerics.hpp"

namespace moeplan::reference {
namespace {

ModelConfig tiny(int experts) {
  ModelConfig c;
  c.experts = experts;
  c.top_k = experts > 0 ? 2 : 0;
  c.inter = experts > 0 ? 32 : 64;
  return c;
}

const std::vector<std::int32_t> kPrompt = {5, 17, 60, 3, 3, 41, 22, 8, 54, 11, 30, 29, 1, 47, 36, 9, 12, 63, 2, 7};

/// Root mean square of the deviation over that of the reference.
double error_of(std::span<const std::uint16_t> got, const std::vector<double>& wanted) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double d = static_cast<double>(bench::from_bf16(got[i])) - wanted[i];
    difference += d * d;
    size += wanted[i] * wanted[i];
  }
  return std::sqrt(difference / size);
}

/// The prompt in chunks of `chunk` tokens through blocks that lie backwards.
struct Fed {
  Model model;
  Decoder decoder;
  std::vector<std::int32_t> blocks{3, 1, 2};
  explicit Fed(const ModelConfig& c) : model(c), decoder(model, 4) {}
  double error(std::size_t length, std::size_t chunk) {
    for (std::size_t at = 0; at < length; at += chunk) {
      const std::size_t count = std::min(chunk, length - at);
      const Slice slice{{kPrompt.data() + at, count}, static_cast<int>(at), blocks.data(), at + count == length};
      decoder.step({&slice, 1});
    }
    return error_of(decoder.logits(), plain_logits(model.config(), {kPrompt.data(), length}));
  }
};

constexpr double kBf16Error = 0.03;  // two layers in bf16, each with a dozen roundings of 0.2 %

}  // namespace

TEST_CASE("a dense decoder gives the logits of the plain float64 reference") {
  CHECK(Fed(tiny(0)).error(20, 20) < kBf16Error);
  CHECK(Fed(tiny(0)).error(1, 1) < kBf16Error);
}

TEST_CASE("a mixture of experts gives the logits of the plain float64 reference") { CHECK(Fed(tiny(4)).error(20, 20) < kBf16Error); }

TEST_CASE("a prompt in chunks and token by token gives the same logits as at once") {
  for (const int experts : {0, 4}) {
    CHECK(Fed(tiny(experts)).error(20, 7) < kBf16Error);
    CHECK(Fed(tiny(experts)).error(20, 1) < kBf16Error);
  }
}

TEST_CASE("sequences of one step do not touch each other") {
  Model model(tiny(4));
  Decoder together(model, 8), alone(model, 8);
  const std::vector<std::int32_t> first = {0, 1}, second = {5, 4};
  const std::span<const std::int32_t> prompt(kPrompt);
  const std::vector<Slice> warm = {{prompt.subspan(0, 9), 0, first.data(), false}};
  together.step(warm);
  const std::vector<Slice> mixed = {{prompt.subspan(9, 1), 9, first.data(), true}, {prompt.subspan(2, 12), 0, second.data(), true}};
  const StepResult both = together.step(mixed);
  CHECK(both.next.size() == 2);
  CHECK(both.distinct_experts >= 2);
  const std::vector<std::uint16_t> seen(together.logits().begin(), together.logits().end());

  const std::vector<Slice> only = {{prompt.subspan(2, 12), 0, second.data(), true}};
  CHECK(alone.step(only).next[0] == both.next[1]);
  double difference = 0;
  for (std::size_t i = 0; i < alone.logits().size(); ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(bench::from_bf16(alone.logits()[i]) - bench::from_bf16(seen[64 + i]))));
  }
  // Products with another number of rows may add up in another order.
  CHECK(difference < 0.05);
}

TEST_CASE("weights depend on seed, tensor, layer and expert, and repeat") {
  const ModelConfig c = tiny(4);
  CHECK(plain_weights(c, Tensor::kDown, 1, 2) == plain_weights(c, Tensor::kDown, 1, 2));
  CHECK(plain_weights(c, Tensor::kDown, 1, 2) != plain_weights(c, Tensor::kDown, 1, 3));
  CHECK(plain_weights(c, Tensor::kDown, 1, 2) != plain_weights(c, Tensor::kDown, 0, 2));
  ModelConfig other = c;
  other.seed = 2;
  CHECK(plain_weights(c, Tensor::kHead) != plain_weights(other, Tensor::kHead));
}

}  // namespace moeplan::reference
