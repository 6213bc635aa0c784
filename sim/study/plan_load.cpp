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
  factors.trough = hours.lowest * last;
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

ReplicaPacking pack_replicas(int gpus_per_replica, int node_gpus) {
  ReplicaPacking packing;
  packing.gpus_per_replica = gpus_per_replica;
  packing.replicas_per_node = std::max(1, node_gpus / gpus_per_replica);
  packing.nodes_per_replica = (gpus_per_replica + node_gpus - 1) / node_gpus;
  return packing;
}

PlanSize size_of(const ReplicaPacking& packing, int node_gpus, int serving, int down) {
  PlanSize size;
  size.serving = serving;
  size.spare = down * std::min(packing.replicas_per_node, serving);
  if (packing.nodes_per_replica > 1) {
    size.nodes = (serving + size.spare) * packing.nodes_per_replica;
    size.gpus = size.nodes * node_gpus;
    if (packing.gpus_per_replica % node_gpus == 0) size.gpus = (serving + size.spare) * packing.gpus_per_replica;
    size.spare_gpus = size.gpus - serving * packing.gpus_per_replica;
    return size;
  }
  const int full = serving / packing.replicas_per_node;
  const int rest = serving % packing.replicas_per_node;
  // Nodes that hold one another's spares hold no more replicas each than may die with one of them.
  const int on_spares = std::min(packing.replicas_per_node, serving);
  const auto gpus_of = [&](int replicas) { return replicas == packing.replicas_per_node ? node_gpus : replicas * packing.gpus_per_replica; };
  size.nodes = full + (rest > 0 ? 1 : 0) + down;
  size.gpus = full * node_gpus + gpus_of(rest) + down * gpus_of(on_spares);
  size.spare_gpus = size.gpus - serving * packing.gpus_per_replica;
  return size;
}

PlanCounts PlanProportion::operator()(int replicas) const {
  if (whole_.prefill == 0) return replicas;
  const auto part = [&](int of) { return (of * replicas + most() - 1) / most(); };
  return {part(whole_.serving), part(whole_.prefill)};
}

PlanSize size_off_peak(const ReplicaPacking& packing, int node_gpus, int serving, int least, int spare_nodes, int maintenance_nodes) {
  MOEPLAN_CHECK(least <= serving);
  const int down = spare_nodes + maintenance_nodes;
  PlanSize size = size_of(packing, node_gpus, serving, spare_nodes);
  if (packing.nodes_per_replica > 1) {
    const int more = std::max(0, least + maintenance_nodes - serving);
    const int spare = size.spare + more;
    size = size_of(packing, node_gpus, serving + spare, 0);
    size.serving = serving;
    size.spare = spare;
    size.spare_gpus = size.gpus - serving * packing.gpus_per_replica;
    return size;
  }
  const auto taken = [](int replicas, int nodes, int lost) { return lost * ((replicas + nodes - 1) / nodes); };
  PlanSize best = size_of(packing, node_gpus, serving, down);
  bool found = false;
  for (int nodes = size.nodes; nodes <= size.nodes + maintenance_nodes; ++nodes) {
    for (int all = serving; all <= nodes * packing.replicas_per_node; ++all) {
      if (all - taken(all, nodes, spare_nodes) < serving || all - taken(all, nodes, down) < least) continue;
      PlanSize spread;
      spread.serving = serving;
      spread.spare = all - serving;
      spread.nodes = nodes;
      const int crowded = all - nodes * (packing.replicas_per_node - 1);  // nodes that are full
      spread.gpus = all * packing.gpus_per_replica + std::max(0, crowded) * (node_gpus - packing.replicas_per_node * packing.gpus_per_replica);
      spread.spare_gpus = spread.gpus - serving * packing.gpus_per_replica;
      if (spread.gpus < best.gpus || (!found && spread.gpus == best.gpus)) {
        best = spread;
        found = true;
      }
      break;
    }
  }
  return best;
}

int shared_nodes(PlanCounts replicas, int decode_gpus, int prefill_gpus, int node_gpus) {
  int next = 0;
  const auto place = [&](int count, int gpus) {
    for (int i = 0; i < count; ++i) {
      if (gpus <= node_gpus && next % node_gpus + gpus > node_gpus) next = (next / node_gpus + 1) * node_gpus;
      next += gpus;
    }
  };
  place(replicas.prefill, prefill_gpus);
  place(replicas.serving, decode_gpus);
  return (next + node_gpus - 1) / node_gpus;
}

PlanSize size_of_pools(const PoolSize& prefill, int prefill_gpus, PlanSize decode, int decode_gpus, bool shared, int node_gpus) {
  const int all = prefill.serving + prefill.spare;
  decode.nodes = shared ? shared_nodes({decode.serving + decode.spare, all}, decode_gpus, prefill_gpus, node_gpus) : decode.nodes + prefill.nodes;
  decode.gpus += prefill.gpus;
  decode.spare_gpus += prefill.spare_gpus;
  decode.prefill = prefill;
  return decode;
}

PlanSize size_within(const ReplicaPacking& packing, int node_gpus, int gpus, int down) {
  // size_of(...).gpus rises with the serving replicas.
  int low = 0;
  int high = gpus / packing.gpus_per_replica;
  while (low < high) {
    const int middle = low + (high - low + 1) / 2;
    if (size_of(packing, node_gpus, middle, down).gpus <= gpus) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  if (low == 0) return {};
  PlanSize size = size_of(packing, node_gpus, low, down);
  size.gpus = gpus;
  size.spare_gpus = gpus - low * packing.gpus_per_replica;
  size.nodes = std::max(size.nodes, (gpus + node_gpus - 1) / node_gpus);
  return size;
}

Outages outages(const ReliabilityConfig& reliability, int nodes, double weight_bytes_per_node) {
  constexpr double kSecondsPerYear = 8766.0 * 3600.0;
  Outages out;
  out.restart_s = reliability.restart_s;
  out.weight_load_s = weight_bytes_per_node / reliability.weight_load_bytes_per_s;
  out.nodes_down_mean = nodes * reliability.failures_per_node_year * (out.restart_s + out.weight_load_s) / kSecondsPerYear;
  double term = std::exp(-out.nodes_down_mean);
  out.availability = term;
  for (int k = 1; k <= reliability.spare_nodes; ++k) {
    term *= out.nodes_down_mean / k;
    out.availability += term;
  }
  out.availability = std::min(1.0, out.availability);
  return out;
}

}  // namespace moeplan
