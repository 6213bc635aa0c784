#include "calibration/describe_shape.hpp"

#include <fmt/format.h>

namespace moeplan {

std::string describe(const GemmShape& s) { return fmt::format("m {} n {} k {}", s.m, s.n, s.k); }

std::string describe(const MoeShape& s) {
  return fmt::format("tokens {} hidden {} inter {} top-{} of {}, {} on the rank", s.tokens, s.hidden, s.inter, s.top_k, s.total_experts,
                     s.local_experts);
}

std::string describe(const DecodeAttentionShape& s) {
  return fmt::format("batch {} context {} heads {}/{} x {}", s.sequences, s.context / s.sequences, s.heads, s.kv_heads, s.head_dim);
}

std::string describe(const PrefillAttentionShape& s) {
  return fmt::format("batch {} tokens {} prefix {} heads {}/{} x {}", s.sequences, s.tokens, s.prefix, s.heads, s.kv_heads, s.head_dim);
}

std::string describe(const MlaDecodeShape& s) {
  return fmt::format("batch {} context {} heads {}", s.sequences, s.context / s.sequences, s.heads);
}

std::string describe(const MlaPrefillShape& s) {
  return fmt::format("batch {} tokens {} prefix {} heads {}", s.sequences, s.tokens, s.prefix, s.heads);
}

std::string describe(const CollectiveShape& s) { return fmt::format("{} bytes on {} ranks", s.bytes, s.ranks); }

std::string describe(const ExpertExchangeShape& s) {
  return fmt::format("tokens {} hidden {} top-{} of {} on {} ranks", s.tokens, s.hidden, s.top_k, s.total_experts, s.ranks);
}

}  // namespace moeplan
