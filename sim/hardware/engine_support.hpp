// Which combinations of feature, number format and GPU generation a serving engine runs: yes, with a warning, or not at all. Read from the
// engine's profile; a combination that the matrix does not name is allowed with a warning, never silently.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/precision.hpp"

namespace moeplan {

enum class Support : std::uint8_t { kYes, kWarn, kNo };

struct SupportVerdict {
  Support support = Support::kYes;
  std::string reason;  ///< why not, or what to know; empty for yes
};

/// Verdict by GPU architecture; "*" holds for the architectures not named.
using SupportByArchitecture = std::map<std::string, SupportVerdict>;

struct EngineSupport {
  SupportByArchitecture architectures;                  ///< the GPU generation itself
  std::map<std::string, SupportByArchitecture> features;  ///< "fused_moe", "expert_parallel", "attention_data_parallel", "pipeline_parallel", "two_batch_overlap", "mtp"
  std::map<Precision, SupportByArchitecture> weights;
  std::map<Precision, SupportByArchitecture> experts;  ///< only where experts differ from weights
  std::map<Precision, SupportByArchitecture> kv_cache;
};

/// What a deployment asks of its engine.
struct EngineUse {
  Precision weights = Precision::kBf16;
  Precision experts = Precision::kBf16;  ///< looked at only when `moe`
  Precision kv_cache = Precision::kBf16;
  bool moe = false;
  bool expert_parallel = false;
  bool attention_data_parallel = false;
  bool pipeline_parallel = false;
  bool two_batch_overlap = false;
  bool mtp = false;  ///< multi-token prediction or other speculative decoding
};

struct SupportAnswer {
  std::vector<std::string> refusals;
  std::vector<std::string> warnings;
  [[nodiscard]] bool ok() const { return refusals.empty(); }
};

}  // namespace moeplan
