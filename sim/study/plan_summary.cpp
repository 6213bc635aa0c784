#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "study/plan_feature_report.hpp"
#include "study/plan_front.hpp"
#include "study/plan_report.hpp"
#include "study/plan_words.hpp"

namespace moeplan {

namespace {

constexpr std::size_t kTopReasons = 6;

std::string precision_text(const DeploymentConfig& d) {
  return fmt::format("weights {}{}, KV cache {}", to_string(d.precision.weights), d.model.is_moe() ? fmt::format(", experts {}", to_string(d.precision.experts)) : "",
                     to_string(d.precision.kv_cache));
}

/// "1.23 USD per million output tokens, 0.0004 USD per request, 3.2 kW at the plugs and 4.2 kW with PUE 1.3: 1.5 J per output token".
std::string at_load_text(const PlanAtLoad& at) {
  std::string text;
  if (const auto usd = at.usd_per_million_output_tokens()) text += fmt::format("{:.2f} USD per million output tokens (the whole bill on them), ", *usd);
  if (const auto usd = at.usd_per_request()) text += fmt::format("{:.3g} USD per request, ", *usd);
  if (!at.price.mean_w) return text + "power not known";
  text += watts_text(*at.price.mean_w) + " at the plugs";
  if (at.price.site_w > at.price.mean_w) text += fmt::format(" and {} with PUE {:.3g}", watts_text(*at.price.site_w), *at.price.site_w / *at.price.mean_w);
  if (const auto joules = at.joules_per_output_token()) text += fmt::format(": {:.3g} J per output token", *joules);
  return text;
}

/// What a token costs depends on how many there are: at the load that is planned for, and over the period.
std::string cost_text(const PlanFigures& plan) {
  const PlanAtLoad sized = plan.as_sized();
  std::string text = fmt::format("  cost      {:.2f} USD/h\n", sized.price.usd_per_hour);
  text += fmt::format("            at the load it is sized for{}: {}\n", sized.factor != 1 ? fmt::format(" ({:.2f} x the workload's)", sized.factor) : "", at_load_text(sized));
  if (!plan.mean_differs()) return text;
  const PlanAtLoad& mean = *plan.at_mean;
  const bool other = mean.price.usd_per_hour != sized.price.usd_per_hour;
  return text + fmt::format("            at the mean load ({:.2f} x the workload's), all replicas up: {}{}\n", mean.factor,
                            other ? fmt::format("{:.2f} USD/h, ", mean.price.usd_per_hour) : "", at_load_text(mean));
}

/// The sentences of the result, one a line.
std::string hosted_text(const Result& result) {
  if (!result.cost || !result.cost->api) return {};
  std::string text = result.cost->api->text;
  if (const auto& mean = result.cost->api->at_mean) text.replace(0, mean->text.size() + 2, mean->text + "\n            ");
  return "  hosted    " + text + "\n";
}

std::string hardware_text(int gpus, int nodes, const ClusterSpec& cluster) {
  return fmt::format("{} x {} in {} {} {}", gpus, cluster.gpu.name, nodes, cluster.node.id, nodes == 1 ? "node" : "nodes");
}

std::string replicas_of_text(const PoolSize& size, const DeploymentConfig& d) {
  const int all = size.serving + size.spare;
  return fmt::format("{}{} of {} ({})", counted(all, "replica"), size.spare > 0 ? fmt::format(" ({} of them spare)", size.spare) : "", counted(d.layout.gpus(), "GPU"),
                     layout_text(d.layout));
}

std::string features_of_text(const std::map<std::string, std::string>& features) {
  std::string text;
  for (const auto& [name, value] : features) text += fmt::format("{}{} {}", text.empty() ? "" : "; ", name, value);
  return text;
}

std::string buy_text(const PlanSpace& space, const PlanAnswer& answer, const Result& result) {
  const PlanCandidate& c = space.candidates[*answer.best];
  const DeploymentConfig& d = space.groups[c.group].config;
  const PlanFigures& plan = *answer.outcomes[*answer.best].plan;
  const auto& pools = space.groups[c.group].pools;
  const PoolSize& prefill = plan.size.prefill;
  const bool apart = pools && pools->prefill.cluster.node.id != d.cluster.node.id;
  const int gpus = apart ? plan.size.gpus - prefill.gpus : plan.size.gpus;
  const int nodes = apart ? plan.size.nodes - prefill.nodes : plan.size.nodes;
  std::string text = fmt::format("buy         {}{}, for {}\n", apart ? hardware_text(prefill.gpus, prefill.nodes, pools->prefill.cluster) + " and " : "",
                                 hardware_text(gpus, nodes, d.cluster), d.model.name);
  if (pools) text += fmt::format("  prefill   {}\n", replicas_of_text(prefill, pools->prefill));
  text += fmt::format("  {:<9} {}, {} {}\n", pools ? "decode" : "deploy", replicas_of_text(plan.size, d), d.engine.id, d.engine.version);
  const int idle = with_spares_up(plan.size, d.layout.gpus(), pools ? pools->prefill.layout.gpus() : 0).spare_gpus;
  if (idle > 0) text += fmt::format("  idle      {}: paid for with the others, but no replica lies on {}\n", counted(idle, "GPU"), idle == 1 ? "it" : "them");
  if (const std::string features = features_of_text(space.bases[space.groups[c.group].base].features); !features.empty()) text += "  with      " + features + "\n";
  text += fmt::format("  precision {}; batches of {} requests and {} tokens at most\n", precision_text(d), c.scheduler.max_batch_requests, c.scheduler.max_batch_tokens);
  return text + cost_text(plan) + hosted_text(result);
}

/// "; 80 % between 33 ms and 68 ms"; empty where it is not known.
std::string interval_text(const Objective& o, const Result& result) {
  if (!o.workload_class.empty()) return {};
  std::string key = o.kind == ObjectiveKind::kLatency ? o.key : "objective." + o.key;
  if (o.kind == ObjectiveKind::kLatency) key.replace(key.find('_'), 1, ".");
  const auto found = result.intervals.find(key);
  if (found == result.intervals.end() || found->second[0] == found->second[1]) return {};
  return fmt::format("; {:.0f} % between {} and {}", result.intervals_level * 100, objective_value_text(o, found->second[0]), objective_value_text(o, found->second[1]));
}

std::string objectives_text(const PlanSpace& space, const PlanFigures& plan, const Result& result) {
  std::string text = plan.size.spare + plan.size.prefill.spare > 0 ? "objectives, with all spare replicas down\n" : "objectives\n";
  const std::vector<Objective>& objectives = space.objectives;
  for (std::size_t i = 0; i < objectives.size(); ++i) {
    const Objective& o = objectives[i];
    const bool latency = o.kind == ObjectiveKind::kLatency;
    text += fmt::format("  {:<22} {:>9}  {} {:<9} ({:.0f} % of what is {}{})\n", o.key, objective_value_text(o, plan.objectives[i]), latency ? "<=" : ">=",
                        objective_value_text(o, o.bound), plan.objectives[i] / o.bound * 100, latency ? "allowed" : "asked", interval_text(o, result));
  }
  text += fmt::format("  {:.2f} requests/s, {:.0f} output tokens/s served; {} busy {:.0f} % of the time\n", plan.served.requests, plan.served.output_tokens, plan.size.pools() ? fmt::format("prefill GPUs busy {:.0f} %, those that decode", plan.prefill_utilisation * 100) : "GPUs",
                      plan.utilisation * 100);
  if (plan.short_window) text += "  the trace is too short to show the machine in steady state: a longer one may need more\n";
  return text;
}

/// "at least 7 of the 9 replicas are".
std::string up_text(const PlanSize& size) {
  const auto of = [](const PoolSize& pool, const char* kind) {
    const int all = pool.serving + pool.spare;
    if (pool.spare > 0) return fmt::format("at least {} of the {} {}replicas", pool.serving, all, kind);
    return all > 1 ? fmt::format("all {} {}replicas", all, kind) : fmt::format("the one {}replica", kind);
  };
  if (size.pools()) return of(size.prefill, "prefill ") + " and " + of(size, "decode ") + " are";
  return of(size, "") + (size.serving + size.spare > 1 ? " are" : " is");
}

/// Never a false 100 %.
std::string availability_text(double availability) {
  constexpr double kSecondsPerYear = 8766.0 * 3600;
  if (availability < 0.99995) return fmt::format("{:.4f} % of the time", availability * 100);
  const double missing = (1 - availability) * kSecondsPerYear;
  if (missing < 1e-3) return "all but less than 1 ms a year on average";
  return missing < 100 ? fmt::format("all but {:.2g} s a year on average", missing) : fmt::format("all but {:.0f} min a year on average", missing / 60);
}

std::string headroom_text(const PlanSpace& space, const PlanAnswer& answer) {
  const PlanHeadroom& h = *answer.headroom;
  const PlanFigures& plan = *answer.outcomes[*answer.best].plan;
  const DeploymentConfig& d = space.groups[space.candidates[*answer.best].group].config;
  std::string text = "headroom\n";
  if (answer.factors.peak != 1) {
    text += fmt::format("  sized for {:.2f} x the workload's load: the busiest hour{}\n", answer.factors.peak,
                        space.search.load.months > 0 ? fmt::format(" of {}", counted(space.search.load.months, "month")) : "");
  }
  if (const int all = plan.size.serving + plan.size.spare; plan.size.spare > 0 && !plan.size.pools() && all <= plan.size.nodes * d.cluster.node.gpus) {
    text += fmt::format("  replicas are spread over {}: one that fails takes {} of {}\n", counted(plan.size.nodes, "node"), (all + plan.size.nodes - 1) / plan.size.nodes, all);
  }
  if (h.load_share) {
    text += fmt::format("  with all replicas up it bears {}{:.0f} % more load than that\n", h.load_share_is_bound ? "at least " : "", *h.load_share * 100);
  } else {
    text += fmt::format("  all requests are there at once: there is no load to bear more of{}\n",
                        h.throughput_share ? fmt::format("; it does {:.0f} % more than the throughput asked for", *h.throughput_share * 100) : "");
  }
  const int serving = PlanProportion(plan.size).most();
  if (h.replicas_at_mean > 0 && h.replicas_at_mean < serving) text += fmt::format("  the mean load{} needs {}, the peak {}\n", space.search.load.months > 0 ? " of the last month" : "", counted(h.replicas_at_mean, "serving replica"), serving);
  for (const PlanHeadroom::Month& m : h.months) text += fmt::format("  month {:<3} {:>6.2f} x the load at its peak: {}\n", m.month, m.factor, counted(m.replicas, "serving replica"));
  const ReliabilityConfig& r = space.search.reliability;
  if (r.maintenance_nodes > 0) {
    text += fmt::format("  enough replicas are left with {} in maintenance{}{}\n", counted(r.maintenance_nodes, "node"),
                        r.spare_nodes > 0 ? fmt::format(" beside {} that failed", r.spare_nodes) : "",
                        r.maintenance_off_peak ? fmt::format(" in the calmest hour ({:.2f} x the workload's load)", answer.factors.trough) : "");
  }
  if (h.outages) {
    const Outages& o = *h.outages;
    text += fmt::format("  a failed node is back after {:.0f} min ({:.0f} s of it loading weights): each is down {:.2g} % of the time, one independently of another\n",
                        (o.restart_s + o.weight_load_s) / 60, o.weight_load_s, o.node_down * 100);
    text += fmt::format("  {} up {}{}\n", up_text(plan.size), availability_text(o.availability), o.in_maintenance ? fmt::format("; with {} in maintenance {}", counted(r.maintenance_nodes, "node"), availability_text(*o.in_maintenance)) : "");
  }
  return text;
}

std::string confidence_text(const PlanConfidence& c, const PlanSpace& space, const PlanGroup& group, const PlanFigures& plan) {
  const Uncertainty& u = c.uncertainty;
  std::string text = fmt::format("confidence\n  all objectives are met with a probability of {:.0f} % ({} of what is not known exactly", u.probability_met * 100, counted(static_cast<int>(u.tried), "draw"));
  if (u.probability_error) text += fmt::format(": give or take {}", counted(static_cast<int>(std::max(1.0, std::round(*u.probability_error * 100))), "point"));
  text += ")\n";
  const std::string advice = advice_on_95(c, space, group, plan);
  return advice.empty() ? text : text + "  " + advice + "\n";
}

/// Of the plan: other candidates are ranked as the engine's profile has them unless they were measured, too.
std::string anchors_text(const PlanSpace& space, const PlanAnswer& answer) {
  const AnchorFit& fit = *answer.anchors;
  return fmt::format("anchors\n  {} of {}: {}; largest error {:.1f} % before, {:.1f} % after\n", counted(static_cast<int>(fit.points.size()), "measured row"),
                     space.candidates[*answer.best].id, correction_text(fit.correction), fit.largest_error_before() * 100, fit.largest_error_after() * 100) +
         anchor_points_text(fit) + "  candidates without measured rows of their own are not corrected\n";
}

std::string choices_text(const PlanSpace& space, const PlanAnswer& answer) {
  std::string text = "the cheapest of each model and GPU\n";
  std::size_t width = 14;
  for (const PlanChoice& c : plan_choices(space, answer)) width = std::max(width, c.gpu.size());
  for (const PlanChoice& c : plan_choices(space, answer)) {
    std::string what = "no plan: mostly " + c.problem;
    if (c.candidate) {
      const PlanFigures& plan = *answer.outcomes[*c.candidate].plan;
      const DeploymentConfig& d = space.groups[space.candidates[*c.candidate].group].config;
      what = fmt::format("{:>4} {} {:>9.2f} USD/h  {}{} x ({}), {}", plan.size.gpus, plan.size.gpus == 1 ? "GPU " : "GPUs", plan.price.usd_per_hour, prefill_pool_text(space, *c.candidate, plan),
                         plan.size.serving + plan.size.spare, layout_text(d.layout), to_string(d.model.is_moe() ? d.precision.experts : d.precision.weights));
      if (answer.best && *c.candidate != *answer.best) {
        const double dearer = plan.price.usd_per_hour / answer.outcomes[*answer.best].plan->price.usd_per_hour - 1;
        what += dearer > 0 ? "; " + share_text(dearer) + " dearer" : "; as cheap";
      }
    }
    text += fmt::format("  {:<20} {:<{}} {}\n", c.model, c.gpu, width, what);
  }
  return text;
}

/// What came second: another model or GPU where there is a plan with one, else another layout.
std::optional<std::size_t> runner_up(const PlanSpace& space, const PlanAnswer& answer) {
  const auto rank = [&](std::size_t i) { return plan_rank(space, answer, i); };
  std::optional<std::size_t> second;
  for (const PlanChoice& c : plan_choices(space, answer)) {
    if (c.candidate && *c.candidate != *answer.best && (!second || rank(*c.candidate) < rank(*second))) second = c.candidate;
  }
  if (second) return second;
  for (std::size_t i = 0; i < answer.outcomes.size(); ++i) {
    if (!answer.outcomes[i].plan || space.candidates[i].group == space.candidates[*answer.best].group) continue;
    if (!second || rank(i) < rank(*second)) second = i;
  }
  return second;
}

/// How an equally cheap plan differs from the best.
std::string beside_text(const PlanSpace& space, const PlanFigures& best, const PlanFigures& plan) {
  const double here = tightest_objective(plan, space.objectives), there = tightest_objective(best, space.objectives);
  const bool bounded = std::any_of(space.objectives.begin(), space.objectives.end(), [](const Objective& o) { return o.kind == ObjectiveKind::kLatency; });
  // As they are printed: a difference that does not show is none.
  if (bounded ? std::lround(here * 100) <= std::lround(there * 100) : !(here > there * 1.005)) return ", and as " + std::string(bounded ? "near its objectives" : "fast");
  if (!bounded) return fmt::format(", but slower: half of its requests take more than {:.3g} s, against {:.3g} s", here, there);
  return fmt::format(", but nearer its objectives: {:.0f} % of what is allowed against {:.0f} %", here * 100, there * 100);
}

std::string runner_up_text(const PlanSpace& space, const PlanAnswer& answer) {
  const auto second = runner_up(space, answer);
  if (!second) return {};
  const PlanFigures& best = *answer.outcomes[*answer.best].plan;
  const PlanFigures& plan = *answer.outcomes[*second].plan;
  const DeploymentConfig& d = space.groups[space.candidates[*second].group].config;
  std::string text = fmt::format("nearly won  {} on {}: {}{} x ({}), {}; {:.2f} USD/h", d.model.name, d.cluster.gpu.name, prefill_pool_text(space, *second, plan), plan.size.serving + plan.size.spare,
                                 layout_text(d.layout), precision_text(d), plan.price.usd_per_hour);
  if (plan.price.usd_per_hour > best.price.usd_per_hour) {
    const double times = plan.price.usd_per_hour / best.price.usd_per_hour;
    text += fmt::format("\n  {}: {} at {:.2f} USD/h each against {} at {:.2f} USD/h\n", times < 1.995 ? share_text(times - 1) + " dearer" : fmt::format("{:.1f} times as dear", times),
                        counted(plan.size.gpus, "GPU"), plan.price.usd_per_hour / plan.size.gpus, best.size.gpus, best.price.usd_per_hour / best.size.gpus);
  } else {
    text += "\n  as cheap" + beside_text(space, best, plan) + "\n";
  }
  return text;
}

std::string rejections_text(const PlanAnswer& answer) {
  const auto counts = rejection_counts(answer);
  std::string text = fmt::format("{}, {} simulated{}\n", counted(static_cast<int>(answer.outcomes.size()), "candidate"), answer.simulated, counts.empty() ? "" : "; not chosen");
  std::size_t shown = 0;
  for (const auto& [kind, count] : counts) {
    if (shown++ == kTopReasons) break;
    text += fmt::format("  {:>6}  {}\n", count, to_string(kind));
  }
  return text;
}

}  // namespace

std::string plan_summary(const PlanSpace& space, const PlanAnswer& answer, const PlanReport& report, const std::string& resume) {
  const Result& result = report.result;
  std::string text = space.bases.front().scenario.name + "\n";
  if (!answer.best) {
    text += "  " + no_plan_text(space, answer) + (answer.exhausted ? "" : "; " + resume + " goes on") + "\n\n" + features_text(space, answer) + choices_text(space, answer) + "\n" + rejections_text(answer);
    return text;
  }
  text += buy_text(space, answer, result) + "\n" + objectives_text(space, *answer.outcomes[*answer.best].plan, result) + "\n";
  if (answer.headroom) text += headroom_text(space, answer) + "\n";
  if (report.trial) text += trial_text(*report.trial) + "\n";
  if (answer.anchors) text += anchors_text(space, answer) + "\n";
  if (report.confidence) text += confidence_text(*report.confidence, space, space.groups[space.candidates[*answer.best].group], *answer.outcomes[*answer.best].plan) + "\n";
  if (const std::string features = features_text(space, answer); !features.empty()) text += features + "\n";
  if (const std::string second = runner_up_text(space, answer); !second.empty()) text += second + "\n";
  text += front_text(space, answer) + "\n" + choices_text(space, answer) + "\n" + rejections_text(answer);
  const std::vector<std::string> assumptions = plan_assumptions(space, answer, report.confidence ? &*report.confidence : nullptr);
  if (!assumptions.empty()) text += "\nassumptions that matter most\n";
  for (const std::string& assumption : assumptions) text += "  " + assumption + "\n";
  text += cut_short_text(answer, report, resume);
  for (const std::string& warning : result.warnings) text += "\nwarning: " + warning;
  if (!result.warnings.empty()) text += "\n";
  return text;
}

}  // namespace moeplan
