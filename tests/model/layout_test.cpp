#include <doctest/doctest.h>

#include <string>

#include "model/layout_check.hpp"
#include "support/input_error.hpp"
#include "tiny_models.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

std::string complaint(const ModelSpec& model, int tensor, int pipeline, int expert, int attention_data) {
  const ParallelLayout layout{.tensor = tensor, .pipeline = pipeline, .expert = expert, .attention_data = attention_data};
  return complaint_of([&] { check_layout(model, layout, "s.json: /deployment/parallel"); });
}

}  // namespace

TEST_CASE("layouts that divide everything pass") {
  CHECK(complaint(tiny_moe(), 1, 1, 1, 1) == "");
  CHECK(complaint(tiny_moe(), 2, 10, 4, 2) == "");
  CHECK(complaint(tiny_moe(), 10, 1, 2, 1) == "");  // KV heads replicated: 10 is a multiple of 2
  const ModelSpec deepseek = catalogue_model("deepseek-v3");
  CHECK(complaint(deepseek, 8, 1, 8, 1) == "");
  CHECK(complaint(deepseek, 1, 1, 32, 32) == "");
}

TEST_CASE("a tensor width that does not divide the heads is refused with the nearest that do") {
  CHECK(complaint(tiny_dense(), 4, 1, 1, 1) ==
        "s.json: /deployment/parallel/tensor: tensor width 4 of 'tiny-dense' does not divide the 10 attention heads (nearest accepted: 2, "
        "10)");
  // 5 divides the 10 heads, but 2 KV heads can neither be split nor replicated evenly over 5 ranks.
  CHECK(complaint(tiny_dense(), 5, 1, 1, 1).find("neither divides the 2 KV heads nor is a multiple of them (nearest accepted: 2, 10)") !=
        std::string::npos);
}

TEST_CASE("a tensor width that does not divide the dense FFN is refused") {
  ModelSpec model = tiny_dense();
  model.layers[0].dense_inter = 405;
  CHECK(complaint(model, 2, 1, 1, 1).find("does not divide the 405 inner channels of the dense FFN (nearest accepted: 1)") !=
        std::string::npos);
}

TEST_CASE("state heads limit the tensor width of constant-state layers") {
  const ModelSpec model = catalogue_model("qwen3-next-80b-a3b");  // 16 query, 2 KV, 16 key and 32 value heads
  CHECK(complaint(model, 16, 1, 1, 1) == "");
  CHECK(complaint(model, 32, 1, 1, 1).find("nearest accepted: 16") != std::string::npos);
}

TEST_CASE("an expert width must divide tensor x attention data and the experts") {
  CHECK(complaint(tiny_moe(), 2, 1, 3, 1)
            .find("/expert: expert width 3 of 'tiny-moe' does not divide tensor x attention_data = 2 (nearest accepted: 2)") !=
        std::string::npos);
  // 16 GPUs: 16 does not divide 8 experts, 8 does.
  CHECK(complaint(tiny_moe(), 1, 1, 16, 16).find("does not divide the 8 experts (nearest accepted: 8)") != std::string::npos);
}

TEST_CASE("an expert width may divide the experts and their replicas together") {
  // 8 experts + 4 replicas on 12 ranks
  const ParallelLayout layout{.tensor = 1, .pipeline = 1, .expert = 12, .attention_data = 12};
  CHECK_NOTHROW(check_layout(tiny_moe(), layout, "x", 4));
  CHECK_THROWS_AS(check_layout(tiny_moe(), layout, "x"), InputError);
}

TEST_CASE("the tensor width left inside the experts must divide their inner width") {
  ModelSpec model = tiny_moe();
  model.layers[0].moe.expert_inter = 201;
  CHECK(complaint(model, 2, 1, 1, 1)
            .find("leaves a tensor width of 2 inside the experts, which does not divide their 201 inner channels (nearest accepted: 2)") !=
        std::string::npos);
}

TEST_CASE("a dense model has no expert width but 1") {
  CHECK(complaint(tiny_dense(), 2, 1, 2, 1).find("needs experts, and this model is dense (nearest accepted: 1)") != std::string::npos);
}

TEST_CASE("a pipeline longer than the model is refused") {
  CHECK(complaint(tiny_dense(), 1, 11, 1, 1)
            .find("/pipeline: pipeline width 11 of 'tiny-dense' exceeds its 10 layers (nearest accepted: 10)") != std::string::npos);
}

TEST_CASE("widths that are not positive, or whose product is absurd, are refused without overflow") {
  CHECK(complaint(tiny_dense(), 0, 1, 1, 1).find("/tensor: found 0, accepted: 1 to 1000000") != std::string::npos);
  CHECK(complaint(tiny_dense(), 1, 1, 1, -2).find("/attention_data: found -2") != std::string::npos);
  CHECK(complaint(tiny_dense(), 1'000'000, 1'000'000, 1, 1'000'000).find("GPUs per replica") != std::string::npos);
}
