#include "model/model_file.hpp"

#include <doctest/doctest.h>

#include <string>

#include "support/input_error.hpp"
#include "tiny_models.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

const std::string kAttention = R"({"kind": "full", "heads": 10, "kv_heads": 2, "head_dim": 10})";
const std::string kExperts = R"({"kind": "moe", "experts": 8, "top_k": 2, "inter": 200, "shared_inter": 100})";

std::string model_text(const std::string& attention, const std::string& ffn, const std::string& more = "") {
  return R"({"hidden": 100, "vocab": 1000, "max_context": 1000, )" + more + R"("layers": [{"count": 10, "attention": )" + attention +
         R"(, "ffn": )" + ffn + "}]}";
}

ModelSpec parse(const std::string& text) {
  const JsonDocument document = parse_json(text, "m.json", schema_folder() / "model.schema.json");
  return parse_model(JsonReader(document));
}

std::string complaint(const std::string& text) {
  return complaint_of([&] { parse(text); });
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a model written inline means what it says") {
  const ModelSpec model = parse(model_text(kAttention, kExperts));
  CHECK(model.id == "inline");
  CHECK(model.layer_count() == 10);
  CHECK(model.moe_layer_count() == 10);
  CHECK(model.layers[0].attention.v_head_dim == 10);
  CHECK(model.gated_ffn);
  CHECK(model.native.experts == Precision::kBf16);
  CHECK(count_parameters(model).total() == count_parameters(tiny_moe()).total());
}

TEST_CASE("every kind of attention is read into its own fields") {
  const auto attention = [](const std::string& text) { return parse(model_text(text, R"({"kind": "none"})")).layers[0].attention; };
  const AttentionSpec mla = attention(R"({"kind": "mla", "heads": 4, "kv_lora": 40, "qk_nope": 20, "qk_rope": 10, "v_head_dim": 20})");
  CHECK(mla.kind == AttentionKind::kMla);
  CHECK(mla.head_dim == 30);
  CHECK(mla.q_lora == 0);
  const AttentionSpec local = attention(R"({"kind": "chunked_local", "heads": 4, "kv_heads": 4, "head_dim": 8, "window": 64})");
  CHECK(local.kind == AttentionKind::kChunkedLocal);
  CHECK(local.window == 64);
  const AttentionSpec delta =
      attention(R"({"kind": "gated_delta_net", "key_heads": 2, "value_heads": 4, "key_dim": 8, "value_dim": 16, "conv_kernel": 4})");
  CHECK(delta.state_value_heads == 4);
  CHECK_FALSE(delta.has_kv_cache());
  const AttentionSpec mamba2 = attention(R"({"kind": "mamba2", "heads": 8, "head_dim": 4, "groups": 2, "state": 16, "conv_kernel": 4})");
  CHECK(mamba2.kind == AttentionKind::kMamba);
  CHECK(mamba2.state_inner == 32);
  CHECK(attention(R"({"kind": "none"})").kind == AttentionKind::kNone);
}

TEST_CASE("wrong keys and kinds are refused at their place") {
  CHECK(contains(complaint(model_text(kAttention, R"({"kind": "dense", "intre": 400})")),
                 "m.json: /layers/0/ffn/intre: unknown key 'intre' (did you mean 'inter'?)"));
  CHECK(contains(complaint(model_text(R"({"kind": "fulll", "heads": 10})", kExperts)), "/layers/0/attention/kind: found"));
  CHECK(contains(complaint(model_text(R"({"kind": "full", "heads": 10, "head_dim": 10})", kExperts)), "missing key 'kv_heads'"));
  CHECK(contains(complaint(R"({"hidden": 100, "vocab": 1000, "max_context": 1000})"), "missing key 'layers'"));
}

TEST_CASE("sizes that do not fit each other are refused in one line") {
  CHECK(complaint(model_text(R"({"kind": "full", "heads": 10, "kv_heads": 3, "head_dim": 10})", kExperts)) ==
        "m.json: /layers/0/attention/kv_heads: found 3, which does not divide the 10 heads, accepted: a divisor of 10");
  CHECK(complaint(model_text(kAttention, R"({"kind": "moe", "experts": 8, "top_k": 9, "inter": 200})")) ==
        "m.json: /layers/0/ffn/top_k: found 9 of 8 experts, accepted: at most 8");
  CHECK(contains(
      complaint(model_text(kAttention, R"({"kind": "moe", "experts": 8, "top_k": 5, "inter": 200, "groups": 4, "top_groups": 2})")),
      "2 groups hold 4 experts, fewer than top_k 5"));
  CHECK(contains(complaint(model_text(R"({"kind": "full", "heads": 10, "kv_heads": 2, "head_dim": 10, "kv_shared_by": 3})", kExperts)),
                 "does not divide the 10 layers"));
}

TEST_CASE("sizes that are not positive or absurd are refused") {
  CHECK(contains(complaint(model_text(R"({"kind": "full", "heads": 0, "kv_heads": 2, "head_dim": 10})", kExperts)),
                 "/layers/0/attention/heads: found 0"));
  CHECK(contains(complaint(model_text(kAttention, R"({"kind": "dense", "inter": -1})")), "/layers/0/ffn/inter: found -1"));
  // Each size within its own bounds, 3 x 10^6 x 10^7 x 10 layers x 10^6 experts in all.
  CHECK(
      contains(complaint(R"({"hidden": 1000000, "vocab": 1000, "max_context": 1000, "layers": [{"count": 10, "attention": {"kind": "none"},
    "ffn": {"kind": "moe", "experts": 1000000, "top_k": 1, "inter": 10000000}}]})"),
               "parameters, accepted: at most 1000T"));
}

TEST_CASE("an encoder or cross-attention is refused even without a word of its own") {
  CHECK(contains(complaint(model_text(kAttention, kExperts, R"("encoder_layers": 5, )")), "accepted: decoder-only models"));
  CHECK(
      contains(complaint(model_text(R"({"kind": "full", "heads": 10, "kv_heads": 2, "head_dim": 10, "cross_attention": true})", kExperts)),
               "accepted: decoder-only models"));
}

TEST_CASE("an entry that says it cannot be simulated is refused with its reason") {
  CHECK(complaint(R"({"id": "odd", "refused": "its attention is odd"})") ==
        "m.json: model 'odd' cannot be simulated: its attention is odd");
}
