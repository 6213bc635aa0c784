#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "study/load_curve_report.hpp"
#include "study/result.hpp"
#include "study/serving_sections.hpp"

namespace moeplan {

namespace {

/// Three significant digits with an SI prefix that people use for sizes.
std::string bytes_text(Bytes bytes) {
  const double v = bytes.as_double();
  if (std::abs(v) >= 1e9) return fmt::format("{:.1f} GB", v / 1e9);
  if (std::abs(v) >= 1e6) return fmt::format("{:.1f} MB", v / 1e6);
  return fmt::format("{:.0f} kB", v / 1e3);
}

std::string seconds_text(double s) {
  if (s >= 100) return fmt::format("{:.0f} s", s);
  if (s >= 1) return fmt::format("{:.2f} s", s);
  if (s >= 1e-2) return fmt::format("{:.1f} ms", s * 1e3);
  if (s >= 1e-3) return fmt::format("{:.2f} ms", s * 1e3);
  return fmt::format("{:.0f} us", s * 1e6);
}

std::string count_text(double n) {
  if (n >= 1e12) return fmt::format("{:.2f}T", n / 1e12);
  if (n >= 1e9) return fmt::format("{:.1f}B", n / 1e9);
  if (n >= 1e6) return fmt::format("{:.1f}M", n / 1e6);
  return fmt::format("{:.0f}", n);
}

std::string layout_text(const Scenario& s) {
  if (s.disaggregation) {
    return fmt::format("prefill {} x {} GPUs, decode {} x {} GPUs", s.disaggregation->prefill_replicas, s.disaggregation->prefill.layout.gpus(), s.replicas,
                       s.deployment.layout.gpus());
  }
  const ParallelLayout& l = s.deployment.layout;
  std::string text = fmt::format("{} x (tensor {}", s.replicas, l.tensor);
  if (l.pipeline > 1) text += fmt::format(", pipeline {}", l.pipeline);
  if (l.attention_data > 1) text += fmt::format(", attention data {}", l.attention_data);
  if (l.expert > 1) text += fmt::format(", expert {}", l.expert);
  return text + ")";
}

/// "H200 SXM", or both where pools stand on different ones.
std::string gpus_text(const Scenario& s) {
  const std::string& own = s.deployment.cluster.gpu.name;
  if (!s.disaggregation || s.disaggregation->prefill.cluster.gpu.name == own) return own;
  return fmt::format("prefill {}, decode {}", s.disaggregation->prefill.cluster.gpu.name, own);
}

std::string heading(const Scenario& s, const MemorySummary& memory) {
  const DeploymentConfig& d = s.deployment;
  std::string text = s.name + "\n";
  text += fmt::format("  model       {}, {} parameters, {} active per token\n", d.model.name, count_text(memory.parameters.total()),
                      count_text(memory.parameters.active()));
  text += fmt::format("  deployment  {} on {} of {} GPUs ({}), {} {}\n", layout_text(s), s.gpus(), d.cluster.gpus + (s.disaggregation && s.disaggregation->own_cluster ? s.disaggregation->prefill.cluster.gpus : 0), gpus_text(s),
                      d.engine.id, d.engine.version);
  text += fmt::format("  precision   weights {}{}, KV cache {}\n", to_string(d.precision.weights),
                      d.model.is_moe() ? fmt::format(", experts {}", to_string(d.precision.experts)) : "", to_string(d.precision.kv_cache));
  return text;
}

std::string memory_text(const MemorySummary& m, const char* where = "") {
  const MemoryPlan& p = m.plan;
  std::string text = fmt::format("memory of the fullest GPU{}: {}\n", where, bytes_text(p.capacity));
  const auto row = [&](const char* name, Bytes bytes) {
    text += fmt::format("  {:<18} {:>10}  {:>5.1f} %\n", name, bytes_text(bytes), 100.0 * (bytes / p.capacity));
  };
  row("weights", p.weights);
  if (m.weights.experts.value() > 0) row("  routed experts", m.weights.experts);
  row("KV cache", p.kv_cache);
  row("activations", p.activations);
  row("runtime", p.runtime);
  row("free", p.free);
  if (p.fits) {
    text += fmt::format("  room for {} tokens of KV cache per replica{}\n", p.kv_capacity_tokens,
                        m.kv_capacity_longest > 0 ? fmt::format(" in short sequences, {} in the longest", m.kv_capacity_longest) : "");
  } else {
    text += fmt::format("  DOES NOT FIT: {} missing per GPU\n", bytes_text(p.missing));
  }
  return text;
}

/// Of both pools where prefill is apart; a pool that does not fit stands for both.
std::string memory_text(const Result& result) {
  if (!result.prefill_memory || !result.memory.plan.fits) return memory_text(result.memory);
  return memory_text(result.memory, " of the decode pool") + memory_text(*result.prefill_memory, " of the prefill pool");
}

std::string latency_text(const Result& result) {
  std::string text = fmt::format("{:<12} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n", "latency", "mean", "p50", "p90", "p95", "p99", "max");
  for (const LatencyMetric metric : kLatencyMetrics) {
    const LatencySummary& l = (*result.latency)[static_cast<std::size_t>(metric)];
    if (l.count == 0) continue;
    std::string name(to_string(metric));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    text += fmt::format("  {:<10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n", name, seconds_text(l.mean), seconds_text(l.p50), seconds_text(l.p90),
                        seconds_text(l.p95), seconds_text(l.p99), seconds_text(l.max));
  }
  return text;
}

std::string throughput_text(const Result& result) {
  const ThroughputSummary& t = *result.throughput;
  std::string text = "throughput\n";
  text += fmt::format("  {:.2f} requests/s{}, {:.0f} output tokens/s ({:.0f} per GPU), {:.0f} tokens/s in all\n", t.requests_per_s,
                      t.offered_per_s ? fmt::format(" of {:.2f} offered", *t.offered_per_s) : "", t.output_tokens_per_s,
                      t.output_tokens_per_s_per_gpu, t.total_tokens_per_s);
  if (t.saturated) text += "  SATURATED: more load is offered than served, and the GPUs serve what they can; latencies grow with the length of the run\n";
  text += fmt::format("  GPUs busy {:.0f} % of the time, KV cache {:.0f} % full on average, mean batch {:.1f}\n", result.utilisation * 100,
                      result.kv_utilisation * 100, result.mean_batch);
  return text;
}

std::string step_text(const char* name, const StepSummary& step) {
  if (step.steps == 0) return {};
  std::vector<std::pair<double, std::string>> parts;
  for (int i = 0; i < kStepParts; ++i) {
    const double share = step.share[static_cast<std::size_t>(i)];
    if (share >= 0.005) parts.emplace_back(share, fmt::format("{} {:.0f} %", to_string(static_cast<StepPart>(i)), share * 100));
  }
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text = fmt::format("  {:<8} {:>9}  ", name, seconds_text(step.mean_s));
  for (std::size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? "" : ", ") + parts[i].second;
  return text + "\n";
}

std::string origin_text(const Result& result) {
  static constexpr const char* kNames[kOrigins] = {"measured", "interpolated", "extrapolated", "transferred", "datasheet"};
  std::string text = "  kernel times:";
  bool first = true;
  for (int i = 0; i < kOrigins; ++i) {
    const double share = result.origin_share[static_cast<std::size_t>(i)];
    if (share < 0.0005) continue;
    text += fmt::format("{} {:.0f} % {}", first ? "" : ",", share * 100, kNames[i]);
    first = false;
  }
  return first ? std::string() : text + "\n";
}

std::string objective_text(const Result& result) {
  std::string text = "objectives\n";
  for (const ObjectiveResult& o : result.objectives) {
    const bool latency = o.objective.kind == ObjectiveKind::kLatency;
    const auto show = [&](double v) { return latency ? seconds_text(v) : fmt::format("{:.2f} /s", v); };
    // A latency within its bound does not count when the queue grows without end.
    const bool only_saturated = latency && !o.met && o.value && *o.value <= o.objective.bound;
    text += fmt::format("  {:<22} {} {:<13} {:<13} {}\n", o.objective.key, latency ? "<=" : ">=", show(o.objective.bound), o.value ? show(*o.value) : "-",
                        o.met ? "met" : only_saturated ? "NOT MET (saturated)" : "NOT MET");
  }
  return text;
}

/// `as_stated`: at the load of the workload, not at what happened to arrive in the run.
std::string cost_text(const CostSummary& cost, bool as_stated) {
  // The provider; date and source of the price are in the JSON.
  std::string text = fmt::format("cost\n  {:.2f} USD/h ({:.2f} USD per GPU-hour; {})", cost.usd_per_hour, cost.usd_per_gpu_hour,
                                 cost.source.substr(0, cost.source.find(',')));
  if (cost.breakdown.size() > 1) {
    for (std::size_t i = 0; i < cost.breakdown.size(); ++i) {
      text += fmt::format("{}{} {:.2f}", i == 0 ? "\n  USD/h: " : ", ", cost.breakdown[i].item, cost.breakdown[i].usd_per_hour);
    }
  }
  if (cost.usd_per_million_output_tokens) {
    text += fmt::format("\n  {} USD per million output tokens, {} per million tokens in all, at {}{:.3g} requests/s and {:.0f} output tokens/s",
                        usd_text(*cost.usd_per_million_output_tokens), usd_text(*cost.usd_per_million_total_tokens), as_stated ? "the stated " : "", cost.load.requests_per_s,
                        cost.load.output_tokens_per_s);
  }
  if (cost.split_usd_per_million_input_tokens && cost.split_usd_per_million_output_tokens) {
    text += fmt::format("\n  divided by GPU time: {} USD per million input and {} per million output tokens", usd_text(*cost.split_usd_per_million_input_tokens),
                        usd_text(*cost.split_usd_per_million_output_tokens));
  }
  if (cost.power) {
    text += fmt::format("\n  power at the plugs {:.2f} kW on average, {:.2f} idle, {:.2f} at full load", cost.power->mean_w / 1e3, cost.power->idle_w / 1e3,
                        cost.power->load_w / 1e3);
    if (cost.joules_per_output_token) text += fmt::format("; {:.2f} J per output token with cooling (PUE {:g})", *cost.joules_per_output_token, cost.power->pue);
  }
  if (cost.api) text += fmt::format("\n  hosted ({}): {}\n  {}", cost.api->price.source, cost.api->text, cost.api->pricing_text);
  return text + "\n";
}

std::string anchors_text(const AnchorFit& fit) {
  return fmt::format("\nanchors     {} measured {}: {}; largest error {:.1f} % before, {:.1f} % after\n", fit.points.size(),
                     fit.points.size() == 1 ? "row" : "rows", correction_text(fit.correction), fit.largest_error_before() * 100, fit.largest_error_after() * 100) +
         anchor_points_text(fit);
}

std::string warnings_text(const Result& result) {
  std::string text;
  for (const std::string& warning : result.warnings) text += "\nwarning: " + warning;
  return text.empty() ? text : text + "\n";
}

}  // namespace

std::string memory_summary(const Scenario& scenario, const Result& result) {
  return heading(scenario, result.memory) + "\n" + memory_text(result) + warnings_text(result);
}

std::string result_summary(const Scenario& scenario, const Result& result) {
  std::string text = heading(scenario, result.memory) + "\n" + memory_text(result);
  if (result.anchors) text += anchors_text(*result.anchors);
  if (!result.latency) return text + warnings_text(result);
  const RequestSummary& r = result.requests;
  text += fmt::format("\nrequests    {} arrived, {} completed, {} rejected, {}{}{} preempted, in {} simulated\n\n", r.arrived, r.completed, r.rejected,
                      r.turned_away > 0 ? fmt::format("{} times turned away, ", r.turned_away) : "",
                      r.failed > 0 ? fmt::format("{} failed, ", r.failed) : "",
                      r.preempted, seconds_text(result.duration_s));
  text += latency_text(result) + "\n" + throughput_text(result);
  text += "\nmean step\n" + step_text("decode", result.decode_step) + step_text("prefill", result.prefill_step) + origin_text(result);
  text += serving_text(result);
  text += deployments_text(scenario, result);
  if (result.experts) {
    const ExpertSummary& e = *result.experts;
    text += fmt::format("\nexperts\n  {:.1f} distinct per layer and step; hottest rank {:.2f} x the mean (p99 {:.2f})\n", e.distinct_experts_mean,
                        e.hottest_over_mean_mean, e.hottest_over_mean_p99);
    if (e.imbalance_share > 0.0005) text += fmt::format("  {:.1f} % of the step time lost to uneven ranks\n", e.imbalance_share * 100);
    if (e.dropped_token_share) text += fmt::format("  {:.2g} % of the tokens lose an expert to its capacity, per layer\n", *e.dropped_token_share * 100);
    if (e.rebalances) text += fmt::format("  experts moved {} times, {:.2f} s of standstill in all\n", *e.rebalances, e.rebalance_stall_s);
    text += fmt::format("  routing: {}\n", e.routing);
  }
  if (result.network) text += network_text(*result.network);
  if (result.offload) text += offload_text(*result.offload);
  if (!result.objectives.empty()) text += "\n" + objective_text(result);
  if (result.uncertainty) text += "\n" + uncertainty_text(*result.uncertainty);
  if (result.load_curve) text += "\n" + load_curve_text(*result.load_curve);
  if (result.cost) text += "\n" + cost_text(*result.cost, result.throughput && result.cost->load.requests_per_s != result.throughput->requests_per_s);
  text += warnings_text(result);
  return text;
}

}  // namespace moeplan
