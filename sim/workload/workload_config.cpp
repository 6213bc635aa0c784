#include "workload/workload_config.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>

#include "base/error.hpp"
#include "workload/hourly_rate.hpp"
#include "workload/lengths.hpp"
#include "workload/recorded_lengths.hpp"
#include "workload/trace_reader.hpp"

namespace moeplan {

std::string_view to_string(ArrivalProcess process) {
  switch (process) {
    case ArrivalProcess::kPoisson: return "poisson";
    case ArrivalProcess::kGamma: return "gamma";
    case ArrivalProcess::kMarkovModulated: return "markov_modulated";
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
    throw InputError(where, "hourly factors need a rate; accepted with poisson, gamma, markov_modulated and trace arrivals");
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
    case ArrivalProcess::kMarkovModulated: {
      if (arrivals.states.size() < 2 || arrivals.states.size() > 100) throw InputError(at(where, "states"), "accepted: 2 to 100 states");
      bool some = false;
      for (const RateState& state : arrivals.states) {
        if (!(state.rate >= 0 && state.rate <= 1e9)) throw InputError(at(where, "states"), found(state.rate) + "accepted rates: 0 to 1e9 /s");
        if (!(state.mean_seconds >= 1e-3 && state.mean_seconds <= 1e8)) throw InputError(at(where, "states"), "accepted durations: 1 ms to 1e8 s");
        some = some || state.rate > 0;
      }
      if (!some) throw InputError(at(where, "states"), "a state must have a rate above 0");
      break;
    }
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
      if (!(arrivals.copies >= 1e-3 && arrivals.copies <= 1e4)) throw InputError(at(where, "copies"), found(arrivals.copies) + "accepted: 1e-3 to 1e4");
      if (!(arrivals.speedup >= 1e-6 && arrivals.speedup <= 1e9)) throw InputError(at(where, "speedup"), found(arrivals.speedup) + "accepted: 1e-6 to 1e9");
      break;
  }
  check_hourly(arrivals, at(where, "diurnal"));
}

/// What `read` makes of a file; its complaints begin with the place that names the file.
template <class Read>
auto read_at(const std::string& place, const std::filesystem::path& file, Read read) {
  try {
    return read(file);
  } catch (const InputError& error) {
    throw InputError(place, error.what());
  }
}

void resolve_trace(WorkloadConfig& config, std::string_view where) {
  ArrivalConfig& arrivals = config.arrivals;
  if (!arrivals.trace) arrivals.trace = read_at(at(at(where, "arrivals"), "file"), arrivals.file, scan_trace);
  const TraceSummary& trace = *arrivals.trace;
  const auto rows = static_cast<std::uint64_t>(std::floor(static_cast<double>(trace.rows) * arrivals.copies));
  if (config.requests == 0) config.requests = rows;
  if (config.requests > rows) {
    const std::string found = std::to_string(config.requests) + " requests of a trace of " + std::to_string(rows);
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

void check_conversation(const WorkloadClass& c, const std::string& place) {
  if (c.prefix.tokens < 0 || c.prefix.tokens > kMaxTokens) throw InputError(at(place, "prefix/tokens"), "accepted: 1 to 1e8 tokens");
  if (c.prefix.count < 1 || c.prefix.count > 10'000'000) throw InputError(at(place, "prefix/count"), "accepted: 1 to 10000000");
  if (!(c.prefix.zipf >= 0 && c.prefix.zipf <= 5)) throw InputError(at(place, "prefix/zipf"), found(c.prefix.zipf) + "accepted: 0 to 5");
  if (!c.sessions.on) return;
  check_lengths(c.sessions.turns, at(place, "sessions/turns"));
  if (!(c.sessions.think_seconds >= 0 && c.sessions.think_seconds <= 1e6)) throw InputError(at(place, "sessions/think_time"), "accepted: 0 to 1e6 s");
  if (c.sessions.max_context < 0) throw InputError(at(place, "sessions/max_context"), "accepted: a number of tokens");
  for (const LengthConfig* lengths : {&c.prompt_tokens, &c.output_tokens, &c.sessions.turns}) {
    if (lengths->kind == LengthKind::kTrace) throw InputError(at(place, "sessions"), "later turns need lengths that are drawn, not those of a trace");
  }
}

void check_own_arrivals(const WorkloadClass& c, const std::string& place) {
  if (!c.arrivals) return;
  const ArrivalProcess process = c.arrivals->process;
  if (process == ArrivalProcess::kClosed || process == ArrivalProcess::kTrace)
    throw InputError(at(place, "arrivals"), "a class of its own arrivals takes poisson, gamma, markov_modulated or batch");
  check_process(*c.arrivals, at(place, "arrivals"));
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
    check_conversation(c, place);
    check_own_arrivals(c, place);
    if (config.arrivals.process == ArrivalProcess::kClosed && (c.sessions.on || c.arrivals))
      throw InputError(place, "sessions and arrivals of a class need arrivals in time, not a closed loop");
    for (const LengthConfig* lengths : {&c.prompt_tokens, &c.output_tokens}) {
      if (lengths->kind != LengthKind::kTrace || !lengths->file.empty() || (trace && !c.arrivals)) continue;
      throw InputError(place, "lengths of a trace without a file; accepted with trace arrivals, or name a file");
    }
  }
}

void read_lengths(WorkloadConfig& config, std::string_view where) {
  std::map<std::filesystem::path, std::shared_ptr<const RecordedLengths>> known;
  for (std::size_t i = 0; i < config.classes.size(); ++i) {
    WorkloadClass& c = config.classes[i];
    const bool replayed = config.arrivals.process == ArrivalProcess::kTrace && !c.arrivals;
    const std::string place = config.classes.size() == 1 ? std::string(where) : at(at(where, "classes"), std::to_string(i));
    for (LengthConfig* lengths : {&c.prompt_tokens, &c.output_tokens}) {
      const std::filesystem::path file = lengths->file.lexically_normal();
      if (lengths->kind != LengthKind::kTrace || lengths->recorded || file.empty() || (replayed && file == config.arrivals.file.lexically_normal())) continue;
      auto& rows = known[file];
      if (!rows) rows = read_at(at(place, lengths == &c.prompt_tokens ? "prompt_tokens" : "output_tokens") + "/file", lengths->file, read_recorded_lengths);
      lengths->recorded = rows;
    }
  }
}

/// The last arrival of an open workload, roughly, in seconds.
double expected_span(const WorkloadConfig& config) {
  const ArrivalConfig& arrivals = config.arrivals;
  const double requests = static_cast<double>(config.requests);
  const double slowest = HourlyRate(arrivals.hourly_factors).mean();
  double own = 0;
  for (const WorkloadClass& c : config.classes) own += c.arrivals ? mean_rate(*c.arrivals) : 0.0;
  if (own > 0) return requests / own;
  if (arrivals.process == ArrivalProcess::kTrace) {
    const double passes = std::ceil(requests / (static_cast<double>(arrivals.trace->rows) * arrivals.copies)) + 1.0;
    return to_seconds(arrivals.trace->last).value() * passes / arrivals.speedup / slowest;
  }
  const double rate = mean_rate(arrivals);
  return rate > 0 ? requests / rate / slowest : 0.0;
}

}  // namespace

double mean_rate(const ArrivalConfig& arrivals) {
  switch (arrivals.process) {
    case ArrivalProcess::kPoisson:
    case ArrivalProcess::kGamma: return arrivals.rate;
    case ArrivalProcess::kMarkovModulated: {
      double requests = 0;
      double seconds = 0;
      for (const RateState& state : arrivals.states) {
        requests += state.rate * state.mean_seconds;
        seconds += state.mean_seconds;
      }
      return requests / seconds;
    }
    case ArrivalProcess::kTrace: {
      if (!arrivals.trace || arrivals.trace->rows < 2) return 0;
      const double span = to_seconds(arrivals.trace->last - arrivals.trace->first).value();
      return span > 0 ? static_cast<double>(arrivals.trace->rows - 1) / span * arrivals.speedup * arrivals.copies : 0.0;
    }
    case ArrivalProcess::kClosed:
    case ArrivalProcess::kBatch: return 0;
  }
  MOEPLAN_CHECK(false);
  return 0;
}

std::vector<ClassMeans> class_means(const WorkloadConfig& config) {
  std::vector<ClassMeans> means;
  double weights = 0;
  for (const WorkloadClass& c : config.classes) weights += c.arrivals ? 0.0 : c.weight;
  const double common = mean_rate(config.arrivals) > 0 ? mean_rate(config.arrivals) : 1.0;
  double all = 0;
  for (const WorkloadClass& c : config.classes) {
    ClassMeans m;
    const TraceSummary* trace = config.arrivals.trace ? &*config.arrivals.trace : nullptr;
    const auto mean = [&](const LengthConfig& lengths, double TraceSummary::*of_trace, double RecordedLengths::*of_rows) {
      if (lengths.kind != LengthKind::kTrace) return mean_tokens(lengths);
      return lengths.recorded ? (*lengths.recorded).*of_rows : trace != nullptr ? trace->*of_trace : 1.0;
    };
    const double prompt = mean(c.prompt_tokens, &TraceSummary::mean_prompt, &RecordedLengths::mean_prompt);
    m.output_tokens = mean(c.output_tokens, &TraceSummary::mean_output, &RecordedLengths::mean_output);
    const double turns = c.sessions.on ? std::max(1.0, mean_tokens(c.sessions.turns)) : 1.0;
    m.prompt_tokens = c.prefix.tokens + prompt + 0.5 * (turns - 1.0) * (prompt + m.output_tokens);
    m.request_share = turns * (c.arrivals ? mean_rate(*c.arrivals) : common * c.weight / weights);
    all += m.request_share;
    means.push_back(m);
  }
  for (ClassMeans& m : means) m.request_share = all > 0 ? m.request_share / all : 1.0 / static_cast<double>(means.size());
  return means;
}

namespace {

/// Of a trace: `trace` is what grows, its speed or its copies.
void scale_arrivals(ArrivalConfig& arrivals, double ArrivalConfig::*trace, double factor) {
  arrivals.rate *= factor;
  for (RateState& state : arrivals.states) state.rate *= factor;
  if (arrivals.process == ArrivalProcess::kClosed)
    arrivals.concurrency = std::max(1, static_cast<std::int32_t>(std::lround(arrivals.concurrency * factor)));
  if (arrivals.process == ArrivalProcess::kTrace) arrivals.*trace *= factor;
}

void scale_all(WorkloadConfig& config, double ArrivalConfig::*trace, double factor) {
  scale_arrivals(config.arrivals, trace, factor);
  for (WorkloadClass& c : config.classes) {
    if (c.arrivals) scale_arrivals(*c.arrivals, trace, factor);
  }
}

}  // namespace

bool mixes(const WorkloadConfig& config) {
  return std::any_of(config.classes.begin(), config.classes.end(), [](const WorkloadClass& c) { return c.sessions.on || c.arrivals; });
}

WorkloadConfig without_conversations(WorkloadConfig config) {
  if (!mixes(config)) return config;
  const std::vector<ClassMeans> means = class_means(config);
  for (std::size_t i = 0; i < means.size(); ++i) {
    WorkloadClass& c = config.classes[i];
    c.weight = means[i].request_share;
    if (c.sessions.on) c.prompt_tokens = LengthConfig::fixed(static_cast<std::int32_t>(std::lround(means[i].prompt_tokens)) - c.prefix.tokens);
  }
  for (WorkloadClass& c : config.classes) {
    c.arrivals.reset();
    c.sessions = {};
  }
  return config;
}

double request_rate(const WorkloadConfig& config) {
  double weights = 0;
  for (const WorkloadClass& c : config.classes) weights += c.arrivals ? 0.0 : c.weight;
  double rate = 0;
  for (const WorkloadClass& c : config.classes) {
    const double turns = c.sessions.on ? std::max(1.0, mean_tokens(c.sessions.turns)) : 1.0;
    rate += turns * (c.arrivals ? mean_rate(*c.arrivals) : mean_rate(config.arrivals) * c.weight / weights);
  }
  return rate;
}

void scale_rates(WorkloadConfig& config, double factor) { scale_all(config, &ArrivalConfig::speedup, factor); }

void scale_workload(WorkloadConfig& config, double factor, std::string_view where) {
  if (!(factor >= 1e-3 && factor <= 1e4)) throw InputError(where, found(factor) + "accepted: 0.001 to 10000");
  scale_all(config, &ArrivalConfig::copies, factor);
  const auto scaled = [&](std::uint64_t n) { return static_cast<std::uint64_t>(std::floor(static_cast<double>(n) * factor)); };
  config.requests = std::max<std::uint64_t>(1, scaled(config.requests));
  config.warmup_requests = std::min(scaled(config.warmup_requests), config.requests - 1);
  resolve_workload(config, where);
}

void resolve_workload(WorkloadConfig& config, std::string_view where) {
  const bool all_own = !config.classes.empty() && std::all_of(config.classes.begin(), config.classes.end(), [](const WorkloadClass& c) { return c.arrivals.has_value(); });
  if (all_own) {  // what the workload as a whole then looks like
    config.arrivals = ArrivalConfig{};
    for (const WorkloadClass& c : config.classes) config.arrivals.rate += mean_rate(*c.arrivals);
    if (config.arrivals.rate == 0) config.arrivals.process = ArrivalProcess::kBatch;
  }
  check_process(config.arrivals, at(where, "arrivals"));
  check_classes(config, where);
  read_lengths(config, where);
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
