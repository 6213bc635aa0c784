#include "study/serving_sections.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "study/result.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

double share(double part, double whole) { return whole > 0 ? part / whole : 0.0; }

json prefix_cache_json(const PrefixCacheSummary& c) {
  const KvReuseReport& t = c.total;
  return {{"hit_rate", c.hit_rate()},
          {"prompt_tokens", t.prompt_tokens},
          {"hit_tokens", t.hit_tokens},
          {"requests", t.requests},
          {"requests_hit", t.requests_hit},
          {"preempted_tokens", t.again_tokens},
          {"preempted_hit_tokens", t.again_hit_tokens},
          {"inserted_tokens", t.blocks.inserted * c.block_tokens},
          {"overwritten_tokens", t.blocks.dropped[0] * c.block_tokens},
          {"cached_tokens_at_end", t.at_end[0] * c.block_tokens},
          {"hit_rate_by_replica", {{"lowest", c.lowest_hit_rate}, {"highest", c.highest_hit_rate}}}};
}

json kv_tiers_json(const PrefixCacheSummary& c) {
  const KvReuseReport& t = c.total;
  const auto tokens = [&](std::int64_t blocks) { return blocks * c.block_tokens; };
  return {{"gpu", {{"tokens_at_end", tokens(t.at_end[0])}}},
          {"host",
           {{"moved_in_tokens", tokens(t.blocks.moved_down[1])},
            {"fetched_tokens", tokens(t.blocks.fetched_host)},
            {"dropped_tokens", tokens(t.blocks.dropped[1])},
            {"tokens_at_end", tokens(t.at_end[1])},
            {"fetched_bytes", t.fetched_host.value()},
            {"written_bytes", t.written_host.value()}}},
          {"nvme",
           {{"moved_in_tokens", tokens(t.blocks.moved_down[2])},
            {"fetched_tokens", tokens(t.blocks.fetched_nvme)},
            {"dropped_tokens", tokens(t.blocks.dropped[2])},
            {"tokens_at_end", tokens(t.at_end[2])},
            {"fetched_bytes", t.fetched_nvme.value()},
            {"written_bytes", t.written_nvme.value()}}},
          {"recomputed_tokens", tokens(t.blocks.recomputed)},
          {"fetch_wait_s", t.fetch_wait.value()}};
}

std::string tokens_text(double n) {
  if (n >= 1e9) return fmt::format("{:.2f}B", n / 1e9);
  if (n >= 1e6) return fmt::format("{:.1f}M", n / 1e6);
  if (n >= 1e3) return fmt::format("{:.1f}k", n / 1e3);
  return fmt::format("{:.0f}", n);
}

std::string prefix_cache_text(const PrefixCacheSummary& c) {
  const KvReuseReport& t = c.total;
  return fmt::format("\nprefix cache\n  {:.1f} % of {} prompt tokens found, {:.0f} % of requests found some; {} tokens overwritten\n", c.hit_rate() * 100,
                     tokens_text(static_cast<double>(t.prompt_tokens)), share(static_cast<double>(t.requests_hit), static_cast<double>(t.requests)) * 100,
                     tokens_text(static_cast<double>(t.blocks.dropped[0] * c.block_tokens)));
}

std::string kv_tiers_text(const PrefixCacheSummary& c) {
  const KvReuseReport& t = c.total;
  const auto tokens = [&](std::int64_t blocks) { return tokens_text(static_cast<double>(blocks * c.block_tokens)); };
  return fmt::format("  moved to host memory {}, to NVMe {}; fetched {} and {} tokens, {} computed anew; steps waited {:.2f} s for fetches\n",
                     tokens(t.blocks.moved_down[1]), tokens(t.blocks.moved_down[2]), tokens(t.blocks.fetched_host), tokens(t.blocks.fetched_nvme),
                     tokens(t.blocks.recomputed), t.fetch_wait.value());
}

json pool_json(const PoolSummary& p) {
  return {{"gpu", p.gpu},
          {"replicas", p.replicas},
          {"gpus_per_replica", p.gpus_per_replica},
          {"requests", p.requests},
          {"gpu_busy", p.busy},
          {"kv_cache", p.kv_cache},
          {"mean_batch", p.mean_batch},
          {"steps", p.steps},
          {"step_mean_s", p.step_mean_s}};
}

json pools_json(const PoolsSummary& s) {
  return {{"prefill", pool_json(s.prefill)},
          {"decode", pool_json(s.decode)},
          {"transfer",
           {{"requests", s.transfers},
            {"stayed", s.stayed},
            {"ended_in_prefill", s.ended_in_prefill},
            {"bytes", s.bytes},
            {"hidden_bytes", s.hidden_bytes},
            {"wait_s", {{"mean", s.wait_mean_s}, {"p99", s.wait_p99_s}}},
            {"send_s", {{"mean", s.send_mean_s}, {"p50", s.send_p50_s}, {"p99", s.send_p99_s}}}}}};
}

std::string pools_text(const PoolsSummary& s) {
  const auto pool = [](const char* name, const PoolSummary& p) {
    return fmt::format("  {:<8} {} x {} GPUs ({}), busy {:.0f} %, KV cache {:.0f} % full, mean batch {:.1f}, {} requests\n", name, p.replicas,
                       p.gpus_per_replica, p.gpu, p.busy * 100, p.kv_cache * 100, p.mean_batch, p.requests);
  };
  return "\npools\n" + pool("prefill", s.prefill) + pool("decode", s.decode) +
         fmt::format("  transfer {} prompts, {:.1f} GB, {:.0f} % hidden beside the prefill; waited {:.1f} ms for room (p99 {:.1f}), sent in {:.1f} ms (p99 {:.1f}); {} stayed{}\n",
                     s.transfers, s.bytes / 1e9, share(s.hidden_bytes, s.bytes) * 100, s.wait_mean_s * 1e3, s.wait_p99_s * 1e3, s.send_mean_s * 1e3,
                     s.send_p99_s * 1e3, s.stayed, s.ended_in_prefill > 0 ? fmt::format(", {} of one token ended with their prefill", s.ended_in_prefill) : "");
}

json speculation_json(const SpeculationReport& r, Bytes weights) {
  const auto verified = static_cast<double>(r.verified);
  json by_position = json::array();
  // Of the sequences that drafted: verified ones may have run without drafts in a crowded batch.
  const double drafts = r.accepted_by_position.empty() ? 0.0 : static_cast<double>(r.drafted) / static_cast<double>(r.accepted_by_position.size());
  for (const std::int64_t n : r.accepted_by_position) by_position.push_back(share(static_cast<double>(n), drafts));
  return {{"drafted_tokens", r.drafted},
          {"accepted_tokens", r.accepted},
          {"rejected_tokens", r.rejected},
          {"acceptance", share(static_cast<double>(r.accepted), static_cast<double>(r.drafted))},
          {"accepted_by_position", by_position},
          {"tokens_per_step", share(static_cast<double>(r.made), verified)},
          {"draft_weights_bytes", weights.value()}};
}

std::string speculation_text(const SpeculationReport& r) {
  return fmt::format("\nspeculation\n  {} tokens drafted, {:.0f} % accepted: {:.2f} tokens per sequence and decode step\n",
                     tokens_text(static_cast<double>(r.drafted)), share(static_cast<double>(r.accepted), static_cast<double>(r.drafted)) * 100,
                     share(static_cast<double>(r.made), static_cast<double>(r.verified)));
}

json class_json(const ClassSummary& c) {
  json latency = json::object();
  for (const LatencyMetric metric : kLatencyMetrics) {
    const LatencySummary& l = c.latency[static_cast<std::size_t>(metric)];
    if (l.count == 0) continue;
    latency[std::string(to_string(metric)) + "_s"] = {{"mean", l.mean}, {"p50", l.p50}, {"p90", l.p90}, {"p95", l.p95}, {"p99", l.p99}, {"max", l.max}};
  }
  json objectives = json::array();
  for (const ObjectiveResult& o : c.objectives) {
    objectives.push_back({{"objective", o.objective.key}, {"unit", "s"}, {"bound", o.objective.bound}, {"value", o.value ? json(*o.value) : json()}, {"met", o.met}});
  }
  return {{"name", c.name},           {"arrived", c.arrived},   {"completed", c.completed},  {"rejected", c.rejected},
          {"preempted", c.preempted}, {"mean_prompt_tokens", c.mean_prompt_tokens}, {"mean_output_tokens", c.mean_output_tokens}, {"latency", latency}, {"objectives", objectives}};
}

std::string classes_text(const std::vector<ClassSummary>& classes) {
  std::string text = fmt::format("\n{:<20} {:>10} {:>10} {:>10} {:>12} {:>12}\n", "classes", "completed", "rejected", "preempted", "TTFT p99", "TPOT p99");
  for (const ClassSummary& c : classes) {
    const double ttft = c.latency[static_cast<std::size_t>(LatencyMetric::kTtft)].p99;
    const double tpot = c.latency[static_cast<std::size_t>(LatencyMetric::kTpot)].p99;
    text += fmt::format("  {:<18} {:>10} {:>10} {:>10} {:>10.3f} s {:>9.1f} ms\n", c.name, c.completed, c.rejected, c.preempted, ttft, tpot * 1e3);
    for (const ObjectiveResult& o : c.objectives) {
      text += fmt::format("    {} <= {:.3f} s: {:.3f} s, {}\n", o.objective.key, o.objective.bound, o.value.value_or(0), o.met ? "met" : "NOT MET");
    }
  }
  return text;
}

}  // namespace

void add_serving_sections(const Result& result, json& out) {
  if (result.prefix_cache) {
    out["prefix_cache"] = prefix_cache_json(*result.prefix_cache);
    if (result.prefix_cache->tiers) out["kv_tiers"] = kv_tiers_json(*result.prefix_cache);
  }
  if (result.speculation) out["speculation"] = speculation_json(*result.speculation, result.memory.draft);
  for (const ClassSummary& c : result.classes) out["classes"].push_back(class_json(c));
  if (result.pools) out["pools"] = pools_json(*result.pools);
  if (result.fleet) out["fleet"] = fleet_section(*result.fleet);
}

std::string serving_text(const Result& result) {
  std::string text;
  if (result.prefix_cache) {
    text += prefix_cache_text(*result.prefix_cache);
    if (result.prefix_cache->tiers) text += kv_tiers_text(*result.prefix_cache);
  }
  if (result.speculation) text += speculation_text(*result.speculation);
  if (!result.classes.empty()) text += classes_text(result.classes);
  if (result.pools) text += pools_text(*result.pools);
  if (result.fleet) text += fleet_text(*result.fleet);
  return text;
}

}  // namespace moeplan
