// What watches a run and what is made of it: the observers every run has, and the result read from them at its end.
#pragma once

#include "metrics/class_metrics.hpp"
#include "metrics/fleet_metrics.hpp"
#include "metrics/goodput_metrics.hpp"
#include "metrics/kv_reuse_metrics.hpp"
#include "metrics/latency_metrics.hpp"
#include "metrics/network_metrics.hpp"
#include "metrics/observer_list.hpp"
#include "metrics/request_counts.hpp"
#include "metrics/speculation_metrics.hpp"
#include "metrics/step_metrics.hpp"
#include "metrics/throughput_metrics.hpp"
#include "study/deployment.hpp"
#include "study/result.hpp"
#include "study/scenario.hpp"
#include "study/shared_links.hpp"
#include "workload/request_sources.hpp"

namespace moeplan {

/// Of both pools where there are two; of a fleet all places.
int all_replicas(const Scenario& scenario);

/// Everything that watches one run.
struct Observers {
  Observers(const Scenario& scenario, const Deployment& deployment, const MeasuredRequests& measured, const SharedLinks& links);
  LatencyMetrics latency;
  ThroughputMetrics throughput;
  StepMetrics steps;
  RequestCounter counter;
  GoodputMetrics goodput;
  NetworkMetrics network;
  KvReuseMetrics kv_reuse;
  SpeculationMetrics speculation;
  ObserverList list;
};

/// The result of one run. `fleet` is null where replicas neither come nor go.
Result collect(const Scenario& scenario, const Deployment& deployment, const SharedLinks& links, const Observers& seen, const CountingSource& source,
               const FleetMetrics* fleet);

/// Each class of the workload apart.
std::vector<ClassSummary> summarise(const Scenario& scenario, const ClassMetrics& seen);

}  // namespace moeplan
