#include "study/simulation.hpp"

#include <fmt/core.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <deque>
#include <memory>

#include "metrics/request_log.hpp"
#include "metrics/timeline.hpp"
#include "study/deployment.hpp"
#include "study/pools.hpp"
#include "study/replications.hpp"
#include "study/run_result.hpp"
#include "study/scenario_fleet.hpp"
#include "study/shared_links.hpp"
#include "workload/request_sources.hpp"

namespace moeplan {

namespace {

/// Reports progress by arrivals, a few hundred times a run.
class ProgressObserver final : public Observer {
 public:
  ProgressObserver(std::uint64_t total, std::function<void(double)> report)
      : total_(total), every_(std::max<std::uint64_t>(1, total / 256)), report_(std::move(report)) {}
  void on_arrival(const RequestSpec& spec) override {
    if (spec.id % every_ == 0) report_(static_cast<double>(spec.id) / static_cast<double>(total_));
  }

 private:
  std::uint64_t total_;
  std::uint64_t every_;
  std::function<void(double)> report_;
};

/// Remembers the end of the run.
class EndObserver final : public Observer {
 public:
  void on_end(SimTime now) override { end_ = now; }
  [[nodiscard]] double seconds() const { return to_seconds(end_).value(); }

 private:
  SimTime end_{0};
};

std::vector<std::string> class_names(const WorkloadConfig& workload) {
  std::vector<std::string> names;
  for (const WorkloadClass& c : workload.classes) names.push_back(c.name);
  return names;
}

/// A failure that was stated for a time which the run does not reach.
void tell_late_failures(const Scenario& scenario, Result& result) {
  if (!scenario.failures) return;
  for (const GivenFailure& g : scenario.failures->given) {
    const double at = to_seconds(g.at).value();
    if (at <= result.duration_s) continue;
    result.warnings.push_back(fmt::format("node {} was to fail at {:g} s, but the run ends at {:.1f} s: state an earlier time, or more requests", g.node, at, result.duration_s));
  }
}

/// The requests of one deployment and everything that watches them. `first` of its options' replications.
class Watched {
 public:
  Watched(const Scenario& scenario, const Deployment& deployment, const SharedLinks& links, const RunOptions& options, std::uint64_t seed, bool first)
      : scenario_(scenario), deployment_(deployment), links_(links), inner_(make_request_source(scenario.workload, seed)), source(*inner_),
        measured_{.total = source.total(),
                  .warmup = scenario.workload.warmup_requests,
                  .closed = scenario.workload.arrivals.process == ArrivalProcess::kClosed,
                  .batch = scenario.workload.arrivals.process == ArrivalProcess::kBatch},
        seen(scenario, deployment, measured_, links) {
    seen.list.add(end_, 0);
    if (first && !options.requests_file.empty()) {
      log_.emplace(options.requests_file, class_names(scenario.workload));
      seen.list.add(*log_, ObserverList::kRequests);
    }
    if (first && !options.trace_file.empty()) {
      timeline_.emplace(options.trace_file, all_replicas(scenario), options.trace_limit, class_names(scenario.workload));
      seen.list.add(*timeline_, ObserverList::kRequests | ObserverList::kSteps);
    }
    if (options.progress && options.replications == 1) {
      progress_.emplace(source.total(), options.progress);
      seen.list.add(*progress_, ObserverList::kRequests);
    }
    if (options.out_of_time) seen.list.add(limit_.emplace(options.out_of_time), ObserverList::kSteps);
    if (scenario.workload.classes.size() > 1) {
      classes_.emplace(measured_, scenario.workload.classes.size());
      seen.list.add(*classes_, ObserverList::kRequests);
    }
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  void watch_pools(const Deployment& prefill, const PoolPlaces* places) {
    const int interest = ObserverList::kRequests | ObserverList::kSteps;
    prefill_ = &prefill;
    seen.list.add(pools_.emplace(pool_metrics(scenario_, prefill, deployment_)), interest);
    placed_.emplace(scenario_, prefill, deployment_, places);
    seen.list.add(pool_network_.emplace(pool_network(placed_->config())), interest);
  }
  [[nodiscard]] const DisaggregatedConfig& placed_pools() const { return placed_->config(); }
  void watch_fleet() { seen.list.add(fleet_.emplace(), ObserverList::kRequests); }

  [[nodiscard]] Result result() const {
    Result result = collect(scenario_, deployment_, links_, seen, source, fleet_ ? &*fleet_ : nullptr);
    if (classes_) result.classes = summarise(scenario_, *classes_);
    if (pools_) result.pools = summarise_pools(scenario_, *pools_, result.requests.completed);
    if (pool_network_) {
      result.network = summarise_network(*pool_network_);
      result.offload = summarise_offload(scenario_, pool_network_->all());
    }
    if (prefill_ != nullptr) result.prefill_memory = prefill_->memory();
    result.duration_s = end_.seconds();
    tell_late_failures(scenario_, result);
    return result;
  }

 private:
  const Scenario& scenario_;
  const Deployment& deployment_;
  const SharedLinks& links_;
  std::unique_ptr<RequestSource> inner_;

 public:
  CountingSource source;

 private:
  MeasuredRequests measured_;

 public:
  Observers seen;

 private:
  EndObserver end_;
  std::optional<RequestLog> log_;
  std::optional<Timeline> timeline_;
  std::optional<ProgressObserver> progress_;
  std::optional<TimeLimit> limit_;
  std::optional<ClassMetrics> classes_;
  const Deployment* prefill_ = nullptr;
  std::optional<PoolMetrics> pools_;
  std::optional<ScenarioPools> placed_;
  std::optional<PoolNetworkMetrics> pool_network_;
  std::optional<FleetMetrics> fleet_;
};

/// A deployment of a scenario that is built.
struct Built {
  const Deployment* deployment = nullptr;
  const Deployment* prefill = nullptr;  ///< the other pool
};

/// What a scenario runs on beside its own deployment.
struct Surroundings {
  const SharedLinks& links;
  const Deployment* prefill = nullptr;  ///< the other pool
  const ScenarioFleet* fleet = nullptr;
  std::vector<Built> others;            ///< the fleet's further deployments
};

void run_pools(const Scenario& scenario, const Deployment& prefill, const Deployment& deployment, const PoolPlaces* places, std::uint64_t seed, Watched& watched) {
  watched.watch_pools(prefill, places);
  if (scenario.failures) watched.watch_fleet();
  simulate(watched.placed_pools(), prefill.cost(), deployment.cost(), watched.source, watched.seen.list, seed);
}

/// All deployments of a fleet in one simulated time. Pools meet the others in the nodes that fail, not on links: they are simulated by themselves, the
/// same nodes failing at the same times.
Result run_fleet(const Scenario& scenario, const Deployment& deployment, const Surroundings& around, const RunOptions& options, std::uint64_t seed, bool first) {
  const ScenarioFleet& fleet = *around.fleet;
  std::deque<Watched> watched;
  std::vector<FleetService> services;
  const auto add = [&](std::size_t k, const Scenario& s, const Built& built, const RunOptions& o) {
    const Deployment& d = *built.deployment;
    // Every deployment has arrivals of its own.
    Watched& w = watched.emplace_back(s, d, fleet.links(k), o, seed + 0x5851F42DULL * k, first);
    if (built.prefill != nullptr) {
      const PoolPlaces places = fleet.pools(k);
      run_pools(s, *built.prefill, d, &places, seed, w);
      return;
    }
    w.watch_fleet();
    services.push_back(fleet.service(k, s, d));
    services.back().source = &w.source;
    services.back().observer = &w.seen.list;
  };
  add(0, scenario, {&deployment, around.prefill}, options);
  for (std::size_t i = 0; i < scenario.others.size(); ++i) {
    RunOptions own = options;
    own.requests_file = file_of_deployment(options.requests_file, scenario, i);
    own.trace_file = file_of_deployment(options.trace_file, scenario, i);
    own.progress = nullptr;
    add(i + 1, scenario.others[i], around.others[i], own);
  }
  if (!services.empty()) simulate(fleet.config(), services, seed);
  Result result = watched.front().result();
  for (std::size_t i = 1; i < watched.size(); ++i) result.others.push_back(watched[i].result());
  return result;
}

Result run_once(const Scenario& scenario, const Deployment& deployment, const Surroundings& around, const RunOptions& options, std::uint64_t seed, bool first) {
  if (around.fleet != nullptr) return run_fleet(scenario, deployment, around, options, seed, first);
  Watched watched(scenario, deployment, around.links, options, seed, first);
  if (around.prefill != nullptr) {
    run_pools(scenario, *around.prefill, deployment, nullptr, seed, watched);
  } else {
    const std::unique_ptr<FlowNetwork> network = around.links.make_network();
    ClusterConfig cluster = deployment.cluster(scenario.replicas, scenario.router);
    cluster.network = network.get();
    simulate(cluster, deployment.cost(), watched.source, watched.seen.list, seed);
  }
  return watched.result();
}

}  // namespace

std::filesystem::path file_of_deployment(const std::filesystem::path& first, const Scenario& scenario, std::size_t other) {
  // What is no file, a pipe, has room for one.
  if (first.empty() || (std::filesystem::exists(first) && !std::filesystem::is_regular_file(first))) return {};
  std::string kept = fmt::format("{}-{}", other + 2, scenario.others.at(other).name);
  std::replace_if(kept.begin(), kept.end(), [](unsigned char c) { return c < 0x80 && std::isalnum(c) == 0 && c != '-' && c != '_' && c != '.'; }, '_');
  std::filesystem::path file = first;
  return file.replace_filename(first.stem().string() + "." + kept + first.extension().string());
}

Result memory_only(const Scenario& scenario) {
  Result result;
  result.memory = plan_deployment_memory(scenario.deployment);
  result.warnings = scenario.warnings;
  if (scenario.disaggregation) result.prefill_memory = plan_deployment_memory(scenario.disaggregation->prefill);
  const auto check_prefill = [&](const Scenario& s) {
    if (!s.disaggregation || !result.memory.plan.fits) return;
    const MemorySummary prefill = plan_deployment_memory(s.disaggregation->prefill);
    if (prefill.plan.fits) return;
    result.memory = prefill;
    result.warnings.push_back("it is the prefill pool whose memory is shown");
  };
  check_prefill(scenario);
  for (const Scenario& other : scenario.others) {
    if (!result.memory.plan.fits) break;
    const MemorySummary memory = plan_deployment_memory(other.deployment);
    if (memory.plan.fits) {
      check_prefill(other);
      continue;
    }
    result.memory = memory;
    result.warnings.push_back(fmt::format("it is the deployment '{}' whose memory is shown", other.name));
  }
  if (!result.memory.plan.fits) {
    result.warnings.push_back(fmt::format("does not fit: {:.1f} GB missing per GPU", result.memory.plan.missing.as_double() / 1e9));
    DeploymentConfig smaller = scenario.deployment;
    smaller.scheduler.max_batch_requests = std::min(smaller.scheduler.max_batch_requests, 64);
    if (plan_deployment_memory(smaller).plan.fits) {
      result.warnings.push_back(fmt::format("it fits with scheduler.max_batch_requests 64 instead of {}: the engine reserves memory to sample for its largest batch",
                                            scenario.deployment.scheduler.max_batch_requests));
    }
  }
  return result;
}

Result run_scenario(const Scenario& scenario, const RunOptions& options) {
  check_time(options.out_of_time);
  Result fit = memory_only(scenario);
  if (!fit.memory.plan.fits) {
    for (const Objective& o : scenario.objectives) fit.objectives.push_back({o, std::nullopt, false});
    if (!options.requests_file.empty()) RequestLog(options.requests_file, {}).on_end(SimTime{0});
    if (!options.trace_file.empty()) Timeline(options.trace_file, scenario.replicas, options.trace_limit, {}).on_end(SimTime{0});
    return fit;
  }
  std::optional<StudyLibraries> own;
  StudyLibraries& shared = options.shared != nullptr ? *options.shared : own.emplace();
  const RoutingMode mode = options.exact_routing ? RoutingMode::kExact : RoutingMode::kTabulated;
  RunOptions sharing = options;
  sharing.shared = &shared;
  return run_on(scenario, Deployment(scenario.deployment, shared, mode), sharing);
}

Result run_on(const Scenario& scenario, const Deployment& deployment, const RunOptions& options) {
  const RoutingMode mode = options.exact_routing ? RoutingMode::kExact : RoutingMode::kTabulated;
  std::optional<SharedLinks> links;
  std::optional<ScenarioFleet> fleet;
  scenario.in_fleet() ? static_cast<void>(fleet.emplace(scenario)) : static_cast<void>(links.emplace(scenario));
  std::deque<Deployment> built;
  const auto build = [&](const DeploymentConfig& config) {
    return &(options.shared != nullptr ? built.emplace_back(config, *options.shared, mode) : built.emplace_back(config, mode));
  };
  const auto build_prefill = [&](const Scenario& s) { return s.disaggregation ? build(s.disaggregation->prefill) : nullptr; };
  Surroundings around{fleet ? fleet->links(0) : *links, build_prefill(scenario), fleet ? &*fleet : nullptr, {}};
  for (const Scenario& other : scenario.others) around.others.push_back({build(other.deployment), build_prefill(other)});
  if (options.replications == 1) return run_once(scenario, deployment, around, options, scenario.seed, true);
  std::optional<tbb::global_control> limit;
  if (options.jobs > 0) limit.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(options.jobs));
  std::vector<Result> results(static_cast<std::size_t>(options.replications));
  std::atomic<int> done{0};
  tbb::parallel_for(0, options.replications, [&](int i) {
    results[static_cast<std::size_t>(i)] = run_once(scenario, deployment, around, options, scenario.seed + static_cast<std::uint64_t>(i), i == 0);
    if (options.progress) options.progress(static_cast<double>(++done) / options.replications);
  });
  return combine(std::move(results));
}

}  // namespace moeplan
