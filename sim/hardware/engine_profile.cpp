#include "hardware/engine_profile.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& word) { return std::find(list.begin(), list.end(), word) != list.end(); }

void note(SupportAnswer& answer, const SupportByArchitecture* row, const EngineProfile& engine, const GpuSpec& gpu, const std::string& what) {
  const std::string head = engine.id + " on " + gpu.id + " (" + gpu.architecture + "), " + what + ": ";
  const SupportVerdict* verdict = nullptr;
  if (row != nullptr) {
    auto found = row->find(gpu.architecture);
    if (found == row->end()) found = row->find("*");
    if (found != row->end()) verdict = &found->second;
  }
  if (verdict == nullptr) {
    answer.warnings.push_back(head + "not known to work");
  } else if (verdict->support == Support::kNo) {
    answer.refusals.push_back(head + verdict->reason);
  } else if (verdict->support == Support::kWarn) {
    answer.warnings.push_back(head + verdict->reason);
  }
}

template <class Key>
const SupportByArchitecture* row_of(const std::map<Key, SupportByArchitecture>& table, const Key& key) {
  const auto found = table.find(key);
  return found == table.end() ? nullptr : &found->second;
}

}  // namespace

bool EngineOverride::holds_for(const GpuSpec& gpu) const {
  if (!architectures.empty() && !contains(architectures, gpu.architecture)) return false;
  if (contains(not_architectures, gpu.architecture)) return false;
  if (memory_at_least && gpu.memory < *memory_at_least) return false;
  return !memory_below || gpu.memory < *memory_below;
}

EngineProfile EngineProfile::for_gpu(const GpuSpec& gpu) const {
  EngineProfile out = *this;
  for (const EngineOverride& o : overrides) {
    if (!o.holds_for(gpu)) continue;
    out.scheduler.max_batch_requests = o.max_batch_requests.value_or(out.scheduler.max_batch_requests);
    out.scheduler.max_batch_tokens = o.max_batch_tokens.value_or(out.scheduler.max_batch_tokens);
    out.prefill_kernel_multiplier = o.prefill_kernel_multiplier.value_or(out.prefill_kernel_multiplier);
    out.expert_comm = o.expert_comm.value_or(out.expert_comm);
    out.all_reduce = o.all_reduce.value_or(out.all_reduce);
    out.fp8_kv_cache_with = o.fp8_kv_cache_with.value_or(out.fp8_kv_cache_with);
  }
  return out;
}

SupportAnswer check_support(const EngineProfile& engine, const GpuSpec& gpu, const EngineUse& use) {
  const EngineSupport& s = engine.supports;
  SupportAnswer answer;
  note(answer, &s.architectures, engine, gpu, "the GPU");
  if (!answer.ok()) return answer;  // everything else would only repeat it
  const auto feature = [&](bool wanted, const std::string& name, const char* words) {
    if (wanted) note(answer, row_of(s.features, name), engine, gpu, words);
  };
  feature(use.moe, "fused_moe", "fused MoE kernels");
  feature(use.expert_parallel, "expert_parallel", "expert parallelism");
  feature(use.attention_data_parallel, "attention_data_parallel", "attention data parallelism");
  feature(use.pipeline_parallel, "pipeline_parallel", "pipeline parallelism");
  feature(use.two_batch_overlap, "two_batch_overlap", "two-batch overlap");
  feature(use.mtp, "mtp", "multi-token prediction");
  note(answer, row_of(s.weights, use.weights), engine, gpu, std::string(to_string(use.weights)) + " weights");
  const SupportByArchitecture* own = row_of(s.experts, use.experts);
  if (use.moe && (own != nullptr || use.experts != use.weights)) {
    note(answer, own != nullptr ? own : row_of(s.weights, use.experts), engine, gpu, std::string(to_string(use.experts)) + " experts");
  }
  note(answer, row_of(s.kv_cache, use.kv_cache), engine, gpu, std::string(to_string(use.kv_cache)) + " KV cache");
  return answer;
}

std::string_view to_string(PrefillMode mode) {
  switch (mode) {
    case PrefillMode::kMixed: return "mixed";
    case PrefillMode::kSeparate: return "separate";
    case PrefillMode::kStatic: return "static";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::string_view to_string(QueueOrder order) {
  switch (order) {
    case QueueOrder::kArrival: return "arrival";
    case QueueOrder::kPriority: return "priority";
    case QueueOrder::kLongestPrefix: return "longest_prefix";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::string_view to_string(MemoryFormula formula) { return formula == MemoryFormula::kFractionOfTotal ? "fraction_of_total" : "fraction_of_free"; }

std::string_view to_string(ExpertParallelComm comm) {
  switch (comm) {
    case ExpertParallelComm::kAllGatherReduceScatter: return "all_gather_reduce_scatter";
    case ExpertParallelComm::kAllToAll: return "all_to_all";
    case ExpertParallelComm::kDeepEp: return "deep_ep";
    case ExpertParallelComm::kNvlinkTwoSided: return "nvlink_two_sided";
    case ExpertParallelComm::kNvlinkOneSided: return "nvlink_one_sided";
  }
  MOEPLAN_CHECK(false);
  return {};
}

}  // namespace moeplan
