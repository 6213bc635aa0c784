#include "study/plan_load.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "workload/request_sources.hpp"

namespace moeplan {

namespace {

/// The hourly profile, relative to its mean.
struct Hours {
  double highest = 1, lowest = 1;
};

/// Of all arrivals together where classes have their own; empty where no hour differs.
std::vector<double> hourly_factors(const LoadGrowth& load, const WorkloadConfig& workload) {
  if (!load.hourly.empty()) return load.hourly;
  const auto own = [](const WorkloadClass& c) { return c.arrivals && !c.arrivals->hourly_factors.empty(); };
  if (std::none_of(workload.classes.begin(), workload.classes.end(), own)) return workload.arrivals.hourly_factors;
  std::vector<double> sum(24, 0.0);
  double rate = 0;
  const auto add = [&](const ArrivalConfig& a) {
    const double share = mean_rate(a);
    rate += share;
    for (std::size_t hour = 0; hour < sum.size(); ++hour) sum[hour] += share * (a.hourly_factors.empty() ? 1.0 : a.hourly_factors[hour]);
  };
  for (const WorkloadClass& c : workload.classes) {
    if (c.arrivals) add(*c.arrivals);
  }
  const bool shared = std::any_of(workload.classes.begin(), workload.classes.end(), [](const WorkloadClass& c) { return !c.arrivals; });
  if (shared) add(workload.arrivals);
  if (!(rate > 0)) return {};
  for (double& factor : sum) factor /= rate;
  return sum;
}

Hours hours_of(const LoadGrowth& load, const WorkloadConfig& workload) {
  const std::vector<double> factors = hourly_factors(load, workload);
  if (factors.empty()) return {};
  return {*std::max_element(factors.begin(), factors.end()), *std::min_element(factors.begin(), factors.end())};
}

double mean_hour(const LoadGrowth& load, const WorkloadConfig& workload) {
  const std::vector<double> factors = hourly_factors(load, workload);
  if (factors.empty()) return 1;
  return std::accumulate(factors.begin(), factors.end(), 0.0) / static_cast<double>(factors.size());
}

double growth(const LoadGrowth& load, int month) { return std::pow(1 + load.growth_per_month, month); }

}  // namespace

std::optional<OfferedLoad> offered_load(const WorkloadConfig& workload, std::uint64_t seed) {
  if (mixes(workload) && request_rate(workload) > 0) {  // later turns come only after answers: by the means
    OfferedLoad load;
    load.requests_per_s = request_rate(workload);
    for (const ClassMeans& c : class_means(workload)) load.output_tokens_per_s += load.requests_per_s * c.request_share * c.output_tokens;
    return load;
  }
  const auto source = make_request_source(workload, seed);
  if (source->closed() || workload.arrivals.process == ArrivalProcess::kBatch) return std::nullopt;
  double tokens = 0;
  double count = 0;
  double last = 0;
  while (const auto spec = source->next()) {
    tokens += spec->output_tokens;
    count += 1;
    last = to_seconds(spec->arrival).value();
  }
  if (!(last > 0)) return std::nullopt;
  OfferedLoad load;
  load.requests_per_s = workload.arrivals.process == ArrivalProcess::kTrace ? count / last : mean_rate(workload.arrivals);
  load.output_tokens_per_s = load.requests_per_s * tokens / count;
  return load;
}

LoadFactors load_factors(const LoadGrowth& load, const WorkloadConfig& workload) {
  const Hours hours = hours_of(load, workload);
  const double last = growth(load, load.months);
  LoadFactors factors;
  factors.mean = mean_hour(load, workload) * last;
  factors.peak = hours.highest * load.peak_factor * std::max(1.0, last);
  factors.trough = hours.lowest * std::max(1.0, last);
  double months = 0;
  for (int month = 0; month <= load.months; ++month) months += growth(load, month);
  factors.period_mean = mean_hour(load, workload) * months / (load.months + 1);
  return factors;
}

int nodes_down(const ReliabilityConfig& r) { return r.spare_nodes + (r.maintenance_off_peak ? 0 : r.maintenance_nodes); }

double peak_in_month(const LoadGrowth& load, const WorkloadConfig& workload, int month) {
  return hours_of(load, workload).highest * load.peak_factor * growth(load, month);
}

WorkloadConfig scaled_workload(WorkloadConfig workload, double factor) {
  const int concurrency = static_cast<int>(std::ceil(workload.arrivals.concurrency * factor - 1e-9));
  MOEPLAN_CHECK(workload.arrivals.process != ArrivalProcess::kBatch || factor == 1);
  scale_rates(workload, factor);
  if (workload.arrivals.process == ArrivalProcess::kClosed) workload.arrivals.concurrency = std::max(1, concurrency);
  workload.arrivals.hourly_factors.clear();
  for (WorkloadClass& c : workload.classes) {
    if (c.arrivals) c.arrivals->hourly_factors.clear();
  }
  return workload;
}

}  // namespace moeplan
