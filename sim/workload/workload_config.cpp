#include "workload/workload_config.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/error.hpp"
#include "workload/hourly_rate.hpp"
#include "workload/lengths.hpp"
#include "workload/trace_reader.hpp"

namespace moeplan {

std::string_view to_string(ArrivalProcess process) {
  switch (process) {
    case ArrivalProcess::kPoisson: return "poisson";
    case ArrivalProcess::kGamma: return "gamma";
    case ArrivalProcess::kClosed: return "closed";
    case ArrivalProcess::kBatch: return "batch";
    case ArrivalProcess::kTrace: return "trace";
  }
  MOEPLAN_CHECK(false);
  return {};
}

namespace {

/// Longest simulated time that is accepted: about 95 years, well inside 64-bit nanoseconds.
constexpr double kMaxSeconds = 3e9;

std::string at(std::string_view where, std::string_view member) { return std::string(where) + "/" + std::string(member); }

std::string found(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", value);
  return "found " + std::string(text.data()) + "; ";
}

void check_hourly(const ArrivalConfig& arrivals, std::string_view where) {
  const auto& factors = arrivals.hourly_factors;
  if (factors.empty()) return;
  if (arrivals.process == ArrivalProcess::kClosed || arrivals.process == ArrivalProcess::kBatch) {
    throw InputError(where, "hourly factors need a rate; accepted with poisson, gamma and trace arrivals");
  }
  const bool fine = std::all_of(factors.begin(), factors.end(), [](double f) { return f >= 0 && f <= 1e6; });
  const bool some = std::any_of(factors.begin(), factors.end(), [](double f) { return f > 0; });
  if (factors.size() != 24 || !fine || !some)
    throw InputError(where, "accepted: 24 hourly factors on the rate, none negative, not all zero");
}

void check_process(const ArrivalConfig& arrivals, std::string_view where) {
  switch (arrivals.process) {
    case ArrivalProcess::kGamma:
      if (!(arrivals.cv > 0 && arrivals.cv <= 100)) throw InputError(at(where, "cv"), found(arrivals.cv) + "accepted: more than 0, at most 100");
      [[fallthrough]];
    case ArrivalProcess::kPoisson:
      if (!(arrivals.rate > 0 && arrivals.rate <= 1e9)) throw InputError(at(where, "rate"), found(arrivals.rate) + "accepted: more than 0 /s, at most 1e9 /s");
      break;
    case ArrivalProcess::kClosed:
      if (arrivals.concurrency < 1 || arrivals.concurrency > 10'000'000) {
        throw InputError(at(where, "concurrency"), "found " + std::to_string(arrivals.concurrency) + "; accepted: 1 to 10000000");
      }
      if (arrivals.turnaround < SimTime(1'000) || to_seconds(arrivals.turnaround).value() > 1e6) {
        throw InputError(at(where, "turnaround"), "accepted: 1 us to 1e6 s");
      }
      break;
    case ArrivalProcess::kBatch: break;
    case ArrivalProcess::kTrace:
      if (!(arrivals.speedup >= 1e-6 && arrivals.speedup <= 1e9)) throw InputError(at(where, "speedup"), found(arrivals.speedup) + "accepted: 1e-6 to 1e9");
      break;
  }
  check_hourly(arrivals, at(where, "diurnal"));
}

void resolve_trace(WorkloadConfig& config, std::string_view where) {
  ArrivalConfig& arrivals = config.arrivals;
  if (!arrivals.trace) arrivals.trace = scan_trace(arrivals.file);
  const TraceSummary& trace = *arrivals.trace;
  if (config.requests == 0) config.requests = trace.rows;
  if (config.requests > trace.rows) {
    const std::string found = std::to_string(config.requests) + " requests of a trace of " + std::to_string(trace.rows);
    if (!arrivals.repeat) throw InputError(at(where, "requests"), found + "; accepted: fewer requests, or \"repeat\": true in arrivals");
    if (trace.last <= trace.first) throw InputError(at(where, "arrivals"), "a trace without duration cannot be repeated (" + found + ")");
  }
  if (trace.classes.empty()) return;
  // Lengths stated once for a trace that names classes hold for each of them.
  if (config.classes.size() == 1 && config.classes[0].name == WorkloadClass{}.name) {
    const WorkloadClass common = config.classes[0];
    config.classes.clear();
    for (const std::string& name : trace.classes) {
      config.classes.push_back(common);
      config.classes.back().name = name;
    }
  }
  for (const std::string& name : trace.classes) {
    const bool known = std::any_of(config.classes.begin(), config.classes.end(), [&](const WorkloadClass& c) { return c.name == name; });
    if (!known)
      throw InputError(at(where, "classes"),
                       "the trace " + arrivals.file.string() + " has requests of class '" + name + "', which is not listed");
  }
}

void check_classes(const WorkloadConfig& config, std::string_view where) {
  if (config.classes.empty()) throw InputError(where, "a workload needs the lengths of its prompts and outputs");
  const bool trace = config.arrivals.process == ArrivalProcess::kTrace;
  for (std::size_t i = 0; i < config.classes.size(); ++i) {
    const WorkloadClass& c = config.classes[i];
    const std::string place = config.classes.size() == 1 ? std::string(where) : at(at(where, "classes"), std::to_string(i));
    if (!(c.weight > 0 && c.weight <= 1e12)) throw InputError(place, "the weight of class '" + c.name + "' must be positive");
    for (std::size_t j = 0; j < i; ++j) {
      if (config.classes[j].name == c.name) throw InputError(place, "class '" + c.name + "' is listed twice");
    }
    check_lengths(c.prompt_tokens, at(place, "prompt_tokens"));
    check_lengths(c.output_tokens, at(place, "output_tokens"));
    for (const LengthConfig* lengths : {&c.prompt_tokens, &c.output_tokens}) {
      if (lengths->kind != LengthKind::kTrace) continue;
      if (!lengths->file.empty()) {
        scan_trace(lengths->file);
      } else if (!trace) {
        throw InputError(place, "lengths of a trace without a file; accepted with trace arrivals, or name a file");
      }
    }
  }
}

/// The last arrival of an open workload, roughly, in seconds.
double expected_span(const WorkloadConfig& config) {
  const ArrivalConfig& arrivals = config.arrivals;
  const double requests = static_cast<double>(config.requests);
  const double slowest = HourlyRate(arrivals.hourly_factors).mean();
  if (arrivals.process == ArrivalProcess::kTrace) {
    const double passes = std::ceil(requests / static_cast<double>(arrivals.trace->rows)) + 1.0;
    return to_seconds(arrivals.trace->last).value() * passes / arrivals.speedup / slowest;
  }
  if (arrivals.process == ArrivalProcess::kPoisson || arrivals.process == ArrivalProcess::kGamma) return requests / arrivals.rate / slowest;
  return 0;
}

}  // namespace

void resolve_workload(WorkloadConfig& config, std::string_view where) {
  check_process(config.arrivals, at(where, "arrivals"));
  check_classes(config, where);
  if (config.arrivals.process == ArrivalProcess::kTrace) resolve_trace(config, where);
  if (config.requests == 0 || config.requests > 1'000'000'000'000) {
    throw InputError(at(where, "requests"), "found " + std::to_string(config.requests) + "; accepted: 1 to 1e12");
  }
  if (config.warmup_requests >= config.requests) {
    throw InputError(at(where, "warmup_requests"), "found " + std::to_string(config.warmup_requests) + " of " +
                                                       std::to_string(config.requests) +
                                                       " requests; accepted: fewer than there are requests");
  }
  if (!(expected_span(config) <= kMaxSeconds)) {
    throw InputError(at(where, "arrivals"),
                     "the requests would take more than 95 years to arrive; accepted: a higher rate or fewer requests");
  }
}

}  // namespace moeplan
