#include "study/first_burst.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "study/scenario.hpp"

namespace moeplan {

namespace {

std::uint64_t clients_of(const WorkloadConfig& w) { return w.arrivals.process == ArrivalProcess::kClosed ? static_cast<std::uint64_t>(w.arrivals.concurrency) : 0; }

}  // namespace

bool measures_first_burst(const WorkloadConfig& w) { return w.warmup_requests < clients_of(w) && w.requests > clients_of(w); }

std::string first_burst_warning(const WorkloadConfig& w) {
  if (!measures_first_burst(w)) return {};
  return fmt::format("warmup_requests {} is less than the {} clients, who all begin at once: that burst is measured, too", w.warmup_requests, clients_of(w));
}

WorkloadConfig past_first_burst(WorkloadConfig w) {
  const std::uint64_t more = clients_of(w) - std::min(clients_of(w), w.warmup_requests);
  w.warmup_requests += more;
  w.requests += more;
  return w;
}

std::string leave_out_first_burst(Scenario& scenario, std::string_view why) {
  WorkloadConfig& w = scenario.workload;
  if (w.warmup_requests >= clients_of(w)) return {};
  std::erase(scenario.warnings, first_burst_warning(w));
  std::string text = fmt::format("warmup_requests {} is less than the {} clients, who all begin at once; {}: the first {} requests are left out, and at least {} are measured",
                                 w.warmup_requests, clients_of(w), why, clients_of(w), w.requests - w.warmup_requests);
  w = past_first_burst(w);
  return text;
}

}  // namespace moeplan
