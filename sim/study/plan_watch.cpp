#include "study/plan_watch.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "study/plan_evaluate.hpp"

namespace moeplan {

namespace {

std::optional<double> latency_of(LatencyMetric metric, const FinishedRequest& r) {
  switch (metric) {
    case LatencyMetric::kTtft: return ttft_of(r);
    case LatencyMetric::kTpot: return r.spec.output_tokens > 1 ? std::optional(tpot_of(r)) : std::nullopt;
    case LatencyMetric::kE2e: return e2e_of(r);
    case LatencyMetric::kQueue: return queue_of(r);
    case LatencyMetric::kItl: break;
  }
  return std::nullopt;
}

}  // namespace

BoundWatch::BoundWatch(const std::vector<Objective>& objectives, const MeasuredRequests& measured) : measured_(measured) {
  const double count = static_cast<double>(measured.total - std::min(measured.total, measured.first()));
  for (const Objective& o : objectives) {
    // How many requests of a class will come is not counted beforehand.
    if (o.kind != ObjectiveKind::kLatency || o.statistic.metric == LatencyMetric::kItl || !o.workload_class.empty()) continue;
    Bound bound{&o, 0, 0, 0, 0, 0};
    switch (o.statistic.kind) {
      // Nearest rank: met when ceil(q n) samples do not exceed the bound. Fewer samples allow no more that do.
      case LatencyStatistic::Kind::kQuantile: bound.allowed = count - std::ceil(o.statistic.quantile * count - 1e-9); break;
      case LatencyStatistic::Kind::kMax: bound.allowed = 0; break;
      case LatencyStatistic::Kind::kMean: bound.most_sum = o.bound * count * (1 + 1e-9); break;
    }
    bounds_.push_back(bound);
  }
}

void BoundWatch::on_finished(const FinishedRequest& request) {
  if (!measured_.counts(request.spec.id)) return;
  for (Bound& bound : bounds_) watch(bound, request);
}

void BoundWatch::on_rejected(const RequestSpec& spec, RejectReason reason, SimTime /*at*/) {
  ++rejected_;
  // Too long for any deployment of the model; a full queue shows as saturation.
  if (reason != RejectReason::kDoesNotFit) return;
  throw VerdictKnown{fmt::format("a request of {} tokens does not fit into the KV cache of a replica", spec.prompt_tokens + spec.output_tokens), "kv_cache", 0};
}

void BoundWatch::watch(Bound& bound, const FinishedRequest& request) {
  const Objective& o = *bound.objective;
  const auto value = latency_of(o.statistic.metric, request);
  if (!value) return;
  bound.seen += 1;
  if (bound.most_sum > 0) {
    bound.sum += *value;
    // The mean of TPOT is over fewer requests than were counted: no verdict before the end.
    if (bound.sum > bound.most_sum && o.statistic.metric != LatencyMetric::kTpot) {
      throw VerdictKnown{fmt::format("{} above {}", o.key, objective_value_text(o, o.bound)), o.key, bound.sum / bound.seen / o.bound};
    }
    return;
  }
  if (*value <= o.bound || ++bound.over <= bound.allowed) return;
  const bool max = o.statistic.kind == LatencyStatistic::Kind::kMax;
  // Of the requests seen so far, beside those that may exceed it.
  const double miss = max ? *value / o.bound : bound.over / bound.seen / (1 - o.statistic.quantile);
  throw VerdictKnown{fmt::format("{} above {}{}", o.key, objective_value_text(o, o.bound),
                                 max ? "" : fmt::format(": more than {:.6g} % of the requests exceed it", (1 - o.statistic.quantile) * 100)),
                     o.key, miss};
}

}  // namespace moeplan
