// Step costs made of plain numbers, so that serving is tested without GPUs and timelines can be worked by hand.
#pragma once

#include "cost/step_cost.hpp"

namespace moeplan::testing {

/// seconds = fixed + per_sequence x decodes + per_context x KV tokens of the decodes + per_prefill x prompt tokens.
struct AffineStepCost final : StepCost {
  double fixed = 0;
  double per_sequence = 0;
  double per_context = 0;
  double per_prefill = 0;
  double jitter = 0;  ///< each step is longer by up to this share, drawn from the routing stream

  AffineStepCost() = default;
  AffineStepCost(double fixed_s, double sequence_s, double context_s, double prefill_s, double jitter_share = 0)
      : fixed(fixed_s), per_sequence(sequence_s), per_context(context_s), per_prefill(prefill_s), jitter(jitter_share) {}

  void prepare(std::int32_t decode_sequences, std::span<const PrefillChunk> prefill, PreparedStep& out) const override {
    out.decode_sequences = decode_sequences;
    out.prefill_tokens = 0;
    for (const PrefillChunk& chunk : prefill) out.prefill_tokens += chunk.tokens;
    out.pure_decode = prefill.empty();
    out.fixed_seconds = fixed + per_sequence * decode_sequences + per_prefill * out.prefill_tokens;
    out.attention[0] = per_context;
  }
  StepOutcome evaluate(const PreparedStep& prepared, std::int64_t decode_context, RandomStream& routing) const override {
    StepOutcome out;
    out.attention_seconds = prepared.attention[0] * static_cast<double>(decode_context);
    out.seconds = prepared.fixed_seconds + out.attention_seconds;
    if (jitter > 0) out.seconds *= 1.0 + jitter * routing.uniform();
    return out;
  }
};

/// Every step takes an exponential time of mean `mean` seconds.
struct ExponentialStepCost final : StepCost {
  double mean = 1;
  explicit ExponentialStepCost(double mean_s) : mean(mean_s) {}
  void prepare(std::int32_t decode_sequences, std::span<const PrefillChunk>, PreparedStep& out) const override {
    out.decode_sequences = decode_sequences;
  }
  StepOutcome evaluate(const PreparedStep&, std::int64_t, RandomStream& routing) const override {
    StepOutcome out;
    out.seconds = mean * routing.exponential();
    return out;
  }
};

}  // namespace moeplan::testing
