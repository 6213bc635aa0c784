#include "model/layout_check.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>

#include "base/error.hpp"

namespace moeplan {
namespace {

std::string text(std::int64_t n) { return std::to_string(n); }

// Each *_problem says why a width does not fit, or "" when it does.
using Problem = std::function<std::string(int)>;

std::string must_divide(int width, std::int64_t size, const char* what) {
  return size % width == 0 ? "" : "does not divide the " + text(size) + " " + what;
}

std::string attention_problem(const AttentionSpec& a, int tensor) {
  if (a.kind == AttentionKind::kNone) return "";
  if (a.has_kv_cache() || a.kind == AttentionKind::kLightning) {
    if (auto problem = must_divide(tensor, a.heads, "attention heads"); !problem.empty()) return problem;
    if (a.kind == AttentionKind::kCompressed) return must_divide(tensor, a.output_groups, "groups of the attention output");
    if (a.kind == AttentionKind::kMla || a.kv_heads == 0) return "";
    const bool fits = a.kv_heads % tensor == 0 || tensor % a.kv_heads == 0;
    return fits ? "" : "neither divides the " + text(a.kv_heads) + " KV heads nor is a multiple of them";
  }
  if (a.state_value_heads == 0) return must_divide(tensor, a.state_inner, "inner channels of the Mamba layers");
  if (auto problem = must_divide(tensor, a.state_value_heads, "value heads of the constant-state layers"); !problem.empty()) return problem;
  // Mamba-2 replicates groups; the others have no kernel that splits a key head.
  if (a.kind == AttentionKind::kMamba) {
    const bool fits = a.state_key_heads % tensor == 0 || tensor % a.state_key_heads == 0;
    return fits ? "" : "neither divides the " + text(a.state_key_heads) + " groups of the Mamba layers nor is a multiple of them";
  }
  return must_divide(tensor, a.state_key_heads, "key heads of the constant-state layers");
}

std::string tensor_problem(const ModelSpec& model, int tensor) {
  for (const auto& group : model.layers) {
    std::string problem = attention_problem(group.attention, tensor);
    if (problem.empty() && group.ffn == FfnKind::kDense)
      problem = must_divide(tensor, group.dense_inter, "inner channels of the dense FFN");
    if (problem.empty() && group.ffn == FfnKind::kMoe)
      problem = must_divide(tensor, group.moe.shared_inter, "inner channels of the shared experts");
    if (problem.empty() && group.ffn == FfnKind::kMoe)
      problem = must_divide(tensor, group.moe.dense_residual_inter, "inner channels of the dense residual FFN");
    if (!problem.empty()) return problem;
  }
  return "";
}

std::string expert_problem(const ModelSpec& model, int gpus, int expert, int redundant) {
  if (!model.is_moe()) return expert == 1 ? "" : "needs experts, and this model is dense";
  if (gpus % expert != 0) return "does not divide tensor x attention_data = " + text(gpus);
  for (const auto& group : model.layers) {
    if (group.ffn != FfnKind::kMoe) continue;
    const char* what = redundant > 0 ? "expert slots" : "experts";
    if (auto problem = must_divide(expert, group.moe.experts + redundant, what); !problem.empty()) return problem;
    if (group.moe.expert_inter % (gpus / expert) != 0) {
      return "leaves a tensor width of " + text(gpus / expert) + " inside the experts, which does not divide their " +
             text(group.moe.expert_inter) + " inner channels";
    }
  }
  return "";
}

// " (nearest accepted: 4, 8)": the next lower and higher widths without a problem.
std::string nearest(int width, int most, const Problem& problem) {
  constexpr int kReach = 4096;
  std::string out;
  for (int lower = std::min(width - 1, most), tries = 0; lower >= 1 && tries < kReach; --lower, ++tries) {
    if (!problem(lower).empty()) continue;
    out = text(lower);
    break;
  }
  for (int higher = width + 1, tries = 0; higher <= most && tries < kReach; ++higher, ++tries) {
    if (!problem(higher).empty()) continue;
    out += (out.empty() ? "" : ", ") + text(higher);
    break;
  }
  return out.empty() ? " (no width is accepted)" : " (nearest accepted: " + out + ")";
}

void require(std::string_view where, const char* key, const ModelSpec& model, int width, int most, const Problem& problem) {
  const std::string why = problem(width);
  if (why.empty()) return;
  throw InputError(std::string(where) + "/" + key,
                   std::string(key) + " width " + text(width) + " of '" + model.id + "' " + why + nearest(width, most, problem));
}

void check_range(std::string_view where, const char* key, int width) {
  if (width >= 1 && width <= kMostGpusPerReplica) return;
  throw InputError(std::string(where) + "/" + key, "found " + text(width) + ", accepted: 1 to " + text(kMostGpusPerReplica));
}

}  // namespace

void check_layout(const ModelSpec& model, const ParallelLayout& layout, std::string_view where, int redundant_experts) {
  check_range(where, "tensor", layout.tensor);
  check_range(where, "pipeline", layout.pipeline);
  check_range(where, "expert", layout.expert);
  check_range(where, "attention_data", layout.attention_data);
  const std::int64_t stage = static_cast<std::int64_t>(layout.tensor) * layout.attention_data;
  if (stage > kMostGpusPerReplica || stage * layout.pipeline > kMostGpusPerReplica) {
    throw InputError(where, "tensor x pipeline x attention_data is more than " + text(kMostGpusPerReplica) + " GPUs per replica");
  }
  require(where, "tensor", model, layout.tensor, kMostGpusPerReplica, [&](int t) { return tensor_problem(model, t); });
  const int layers = model.layer_count();
  require(where, "pipeline", model, layout.pipeline, layers,
          [&](int p) { return p <= layers ? std::string() : "exceeds its " + text(layers) + " layers"; });
  const int gpus = static_cast<int>(stage);
  require(where, "expert", model, layout.expert, gpus, [&](int e) { return expert_problem(model, gpus, e, redundant_experts); });
}

}  // namespace moeplan
