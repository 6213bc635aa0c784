#include "study/plan_headroom.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "model/weights.hpp"
#include "study/plan_journal.hpp"
#include "workload/recorded_lengths.hpp"

namespace moeplan {

namespace {

constexpr double kMostHeadroom = 3;    ///< more than this much more load is not looked for
constexpr double kHeadroomStep = 0.01;
constexpr int kMostMonths = 12;        ///< points of the growth that are simulated

std::string load_key(double factor) { return fmt::format("at {} x the load", factor); }

bool scalable(const WorkloadConfig& w) { return w.arrivals.process != ArrivalProcess::kBatch; }

/// A verdict, from the journal where it is there: only `met` and `failing` are then known. `what`: the question.
PlanRun verdict(const PlanLoads& loads, const std::string& what, const PlanQuestion& question, const PlanReplica& replica, PlanCounts counts) {
  const std::string key = fmt::format("{} {} with {} and {}", loads.key, what, counts.serving, counts.prefill);
  if (loads.journal != nullptr) {
    if (const auto stored = loads.journal->find(key)) {
      PlanRun run;
      run.met = *stored == "met";
      if (!run.met) run.failing = *stored;
      return run;
    }
  }
  PlanRun run = run_plan(question, replica, counts);
  if (loads.journal != nullptr) loads.journal->append(key, run.met ? "met" : run.failing);
  return run;
}

/// The largest share of more load that all replicas bear, in steps of one per cent.
void find_headroom(const PlanLoads& loads, const PlanReplica& replica, PlanCounts replicas, double peak, PlanHeadroom& out) {
  const auto bears = [&](double share) {
    const double factor = peak * (1 + share);
    return verdict(loads, load_key(factor), loads.at(factor), replica, replicas).met;
  };
  double low = 0;
  double high = 4 * kHeadroomStep;
  while (bears(high)) {
    low = high;
    if (high >= kMostHeadroom) {
      out.load_share = low;
      out.load_share_is_bound = true;
      return;
    }
    high = std::min(kMostHeadroom, 2 * high);
  }
  while (high - low > 1.5 * kHeadroomStep) {
    const double middle = 0.5 * (low + high);
    (bears(middle) ? low : high) = middle;
  }
  out.load_share = low;
}

/// How far the throughput objectives are exceeded; nothing without any.
std::optional<double> throughput_share(const std::vector<Objective>& objectives, const PlanFigures& plan) {
  std::optional<double> least;
  for (std::size_t i = 0; i < objectives.size(); ++i) {
    if (objectives[i].kind == ObjectiveKind::kLatency) continue;
    const double share = plan.objectives[i] / objectives[i].bound - 1;
    least = least ? std::min(*least, share) : share;
  }
  return least;
}

/// The rows of a trace with longer answers, in the same order.
void lengthen_recorded(WorkloadClass& c, double factor) {
  auto longer = std::make_shared<RecordedLengths>(*c.output_tokens.recorded);
  for (std::int32_t& tokens : longer->output_tokens) tokens = static_cast<std::int32_t>(std::lround(tokens * factor));
  longer->mean_output *= factor;
  if (c.prompt_tokens.recorded == c.output_tokens.recorded) c.prompt_tokens.recorded = longer;  // still dealt together
  c.output_tokens.recorded = longer;
}

/// Makes outputs longer where their distribution has a scale to change; false where it has none (a trace that is replayed).
bool lengthen_outputs(WorkloadConfig& workload, double factor) {
  const auto longer = [&](std::int32_t tokens) { return static_cast<std::int32_t>(std::lround(tokens * factor)); };
  for (WorkloadClass& c : workload.classes) {
    LengthConfig& o = c.output_tokens;
    if (o.kind == LengthKind::kTrace && !o.recorded) return false;
    if (o.kind == LengthKind::kTrace) lengthen_recorded(c, factor);
    o.value = longer(o.value);
    o.median *= factor;
    if (o.kind == LengthKind::kUniform || o.kind == LengthKind::kLognormal) o.high = std::min(kMaxTokens, longer(o.high));
    if (o.kind == LengthKind::kUniform) o.low = longer(o.low);
    for (LengthBin& bin : o.bins) bin.tokens = longer(bin.tokens);
  }
  return true;
}

Outages outages_of(const ReliabilityConfig& reliability, const PlanReplica& replica, const PlanSize& size) {
  const DeploymentConfig& config = replica.config;
  const double per_gpu = weight_bytes_per_gpu(config.model, config.precision, config.layout).total().as_double();
  const int node_gpus = config.cluster.node.gpus;
  const int fullest = (size.serving + size.spare + size.nodes - 1) / size.nodes * config.layout.gpus();
  std::vector<ReplicaSpread> pools;
  if (size.pools() && !replica.prefill->spec.own_cluster) {
    pools.push_back({size.replicas(), size.serving + size.prefill.serving, size.nodes, 1});  // nodes shared, and nothing to spare
  } else {
    PoolSize decode = size;
    decode.nodes -= size.prefill.nodes;
    pools.push_back(spread_of(decode, config.layout.gpus(), node_gpus));
    if (size.pools()) pools.push_back(spread_of(size.prefill, replica.prefill->config.layout.gpus(), replica.prefill->config.cluster.node.gpus));
  }
  return outages(reliability, pools, size.nodes, per_gpu * std::min(node_gpus, size.pools() ? size.gpus : fullest));
}

/// Fewest replicas for a part of the load, in the plan's proportion.
int fewest(const PlanLoads& loads, const PlanReplica& replica, double factor, const PlanProportion& counts) {
  const PlanQuestion question = loads.at_less(factor);
  const SmallestPlan found = smallest_plan([&](int n) { return verdict(loads, load_key(factor), question, replica, counts(n)); }, 1, counts.most());
  return found.rung ? counts(*found.rung).all() : counts.most();
}

}  // namespace

PlanQuestion PlanLoads::at_less(double factor) const {
  PlanQuestion question = at(factor);
  for (Objective& o : question.objectives) {
    if (o.kind != ObjectiveKind::kLatency) o.bound *= std::min(1.0, factor);
  }
  return question;
}

PlanHeadroom plan_headroom(const PlanSpace& space, const PlanLoads& loads, const PlanReplica& replica, const PlanFigures& plan, const LoadFactors& factors) {
  PlanHeadroom out;
  const SearchConfig& search = space.search;
  const PlanCounts all(plan.size.serving + plan.size.spare, plan.size.prefill.serving + plan.size.prefill.spare);
  const PlanProportion counts(plan.size);
  if (!scalable(loads.base.workload)) {
    out.throughput_share = throughput_share(space.objectives, plan);
  } else {
    find_headroom(loads, replica, all, factors.peak, out);
    if (factors.mean > 0 && factors.mean != factors.peak) out.replicas_at_mean = fewest(loads, replica, factors.mean, counts);
    if (search.load.months > 0) {
      const int step = std::max(1, (search.load.months + kMostMonths - 1) / kMostMonths);
      for (int month = 0; month <= search.load.months; month = month < search.load.months ? std::min(month + step, search.load.months) : month + 1) {
        const double factor = peak_in_month(search.load, loads.base.workload, month);
        out.months.push_back({month, factor, fewest(loads, replica, factor, counts)});
      }
    }
  }
  if (plan.size.spare + plan.size.prefill.spare > 0) {
    const PlanRun run = run_plan(loads.at(factors.peak), replica, all);
    if (run.met) {
      out.all_up = plan;
      out.all_up->requests = run.requests;
      out.all_up->latency = run.latency;
      out.all_up->throughput = run.throughput;
      out.all_up->utilisation = run.utilisation;
      out.all_up->prefill_utilisation = run.prefill_utilisation;
      out.all_up->objectives.clear();
      for (const ObjectiveResult& o : run.objectives) out.all_up->objectives.push_back(o.value.value_or(0));
    }
  }
  if (search.reliability.stated) out.outages = outages_of(search.reliability, replica, plan.size);
  return out;
}

std::vector<PlanHeadroom::Assumption> tested_assumptions(const PlanLoads& loads, const PlanReplica& replica, const PlanReplica& slow, const PlanFigures& plan,
                                                         double peak) {
  std::vector<PlanHeadroom::Assumption> out;
  const PlanProportion counts(plan.size);
  const int most = 2 * counts.most() + 2;
  const int per_cent = static_cast<int>(std::lround((kSlowKernels - 1) * 100));
  const auto needed = [&](const std::string& what, const PlanQuestion& question, const PlanReplica& on) {
    const auto least = smallest_plan([&](int n) { return verdict(loads, what, question, on, counts(n)); }, counts.most(), most).rung;
    return least ? counts(*least).all() : 0;
  };
  const PlanQuestion question = loads.at(peak);
  const auto test = [&](const std::string& what, const PlanQuestion& asked, const PlanReplica& on) { out.push_back({what, needed(what, asked, on)}); };
  test(fmt::format("kernels {} % slower than modelled", per_cent), question, slow);
  if (scalable(loads.base.workload)) {
    const bool closed = loads.base.workload.arrivals.process == ArrivalProcess::kClosed;
    test(fmt::format("{} % more {}", per_cent, closed ? "clients" : "requests"), loads.at(peak * kSlowKernels), replica);
  }
  PlanQuestion longer = question;
  if (lengthen_outputs(longer.workload, kSlowKernels)) test(fmt::format("answers {} % longer", per_cent), longer, replica);
  const auto weight = [&](const PlanHeadroom::Assumption& a) { return a.replicas == 0 ? most + 1 : a.replicas; };
  std::stable_sort(out.begin(), out.end(), [&](const PlanHeadroom::Assumption& a, const PlanHeadroom::Assumption& b) { return weight(a) > weight(b); });
  return out;
}

}  // namespace moeplan
