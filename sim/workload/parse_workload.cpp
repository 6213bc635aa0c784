#include "workload/parse_workload.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "input/catalogue.hpp"
#include "input/csv.hpp"
#include "input/json_reader.hpp"
#include "workload/lengths.hpp"

namespace moeplan {
namespace {

/// Refuses members that the chosen kind does not have: a `cv` on Poisson arrivals would otherwise be silently ignored.
void only(const JsonReader& reader, const std::vector<std::string>& accepted) {
  for (const auto& [key, value] : reader.members()) {
    if (std::find(accepted.begin(), accepted.end(), key) != accepted.end()) continue;
    std::string list;
    for (const std::string& name : accepted) list += (list.empty() ? "" : ", ") + name;
    reader.fail("unknown key '" + key + "'" + did_you_mean(key, accepted) + "; accepted: " + list);
  }
}

std::int32_t tokens(const JsonReader& reader, std::string_view key, std::int64_t value) {
  if (value >= 1 && value <= kMaxTokens) return static_cast<std::int32_t>(value);
  reader.at(key).fail("found " + std::to_string(value) + "; accepted: 1 to " + std::to_string(kMaxTokens) + " tokens");
}

std::int32_t tokens(const JsonReader& reader, std::string_view key) { return tokens(reader, key, reader.integer(key)); }

std::int32_t tokens_or(const JsonReader& reader, std::string_view key, std::int32_t fallback) {
  return reader.has(key) ? tokens(reader, key) : fallback;
}

std::uint64_t count(const JsonReader& reader, std::string_view key, std::uint64_t fallback) {
  if (!reader.has(key)) return fallback;
  const std::int64_t value = reader.integer(key);
  if (value < 0) reader.at(key).fail("found " + std::to_string(value) + "; accepted: a whole number from 0 on");
  return static_cast<std::uint64_t>(value);
}

std::vector<LengthBin> read_histogram(const JsonReader& reader) {
  std::vector<LengthBin> bins;
  for (const JsonReader& pair : reader.elements()) {
    const auto& v = pair.value();
    if (!v.is_array() || v.size() != 2 || !v[0].is_number_integer() || !v[1].is_number()) pair.fail("accepted: [tokens, weight]");
    const auto length = v[0].get<std::int64_t>();
    if (length < 1 || length > kMaxTokens)
      pair.fail("found " + std::to_string(length) + " tokens; accepted: 1 to " + std::to_string(kMaxTokens));
    bins.push_back({static_cast<std::int32_t>(length), v[1].get<double>()});
  }
  return bins;
}

std::vector<LengthBin> read_length_file(const std::filesystem::path& file) {
  CsvReader csv(file);
  const std::size_t length = csv.column("tokens");
  const auto weight = csv.find_column("weight");
  std::vector<LengthBin> bins;
  while (csv.next()) {
    const std::int64_t value = csv.integer(length);
    if (value < 1 || value > kMaxTokens) csv.fail("tokens is " + std::to_string(value) + "; accepted: 1 to " + std::to_string(kMaxTokens));
    const double w = weight ? csv.number(*weight) : 1.0;
    if (w < 0) csv.fail("weight is negative");
    bins.push_back({static_cast<std::int32_t>(value), w});
  }
  if (bins.empty()) csv.fail("no lengths; accepted: at least one row");
  return bins;
}

LengthConfig parse_lognormal(const JsonReader& reader) {
  only(reader, {"distribution", "median", "mean", "sigma", "low", "high"});
  if (reader.has("median") == reader.has("mean")) reader.fail("a lognormal distribution takes either median or mean");
  const double sigma = reader.number("sigma");
  // The mean is that of the unclamped distribution: exp(mu + sigma^2 / 2).
  const double median = reader.has("median") ? reader.number("median") : reader.number("mean") * std::exp(-0.5 * sigma * sigma);
  return LengthConfig::lognormal(median, sigma, tokens_or(reader, "low", 1), tokens_or(reader, "high", kMaxTokens));
}

LengthConfig parse_empirical(const JsonReader& reader, const FileFolders& folders) {
  only(reader, {"distribution", "file", "histogram"});
  if (reader.has("file") == reader.has("histogram")) reader.fail("an empirical distribution takes either file or histogram");
  if (reader.has("histogram")) return LengthConfig::empirical(read_histogram(reader.at("histogram")));
  const std::filesystem::path file = folders.find(reader, "file");
  LengthConfig config = LengthConfig::empirical(reader.at("file").loaded([&] { return read_length_file(file); }));
  config.file = file;
  return config;
}

LengthConfig parse_lengths(const JsonReader& reader, const FileFolders& folders) {
  const std::string kind = reader.string("distribution");
  LengthConfig config;
  if (kind == "fixed") {
    only(reader, {"distribution", "value"});
    config = LengthConfig::fixed(tokens(reader, "value"));
  } else if (kind == "uniform") {
    only(reader, {"distribution", "low", "high"});
    config = LengthConfig::uniform(tokens(reader, "low"), tokens(reader, "high"));
  } else if (kind == "lognormal") {
    config = parse_lognormal(reader);
  } else if (kind == "empirical") {
    config = parse_empirical(reader, folders);
  } else if (kind == "trace") {
    only(reader, {"distribution", "file"});
    config = LengthConfig::from_trace(reader.has("file") ? folders.find(reader, "file") : std::filesystem::path());
  } else {
    reader.at("distribution").fail("unknown distribution '" + kind + "'; accepted: fixed, uniform, lognormal, empirical, trace");
  }
  check_lengths(config, reader.where());
  return config;
}

std::vector<double> parse_hourly(const JsonReader& arrivals) {
  std::vector<double> factors;
  if (!arrivals.has("diurnal")) return factors;
  const JsonReader list = arrivals.at("diurnal");
  for (const JsonReader& factor : list.elements()) {
    if (!factor.value().is_number()) factor.fail("accepted: a number, the factor on the rate in this hour");
    factors.push_back(factor.value().get<double>());
  }
  if (factors.size() != 24) list.fail("found " + std::to_string(factors.size()) + " factors; accepted: 24, one an hour");
  return factors;
}

SimTime retry_after(const JsonReader& reader) {
  if (!reader.has("retry_after")) return kRetryAfter;
  const Seconds wait = reader.duration("retry_after");
  if (!(wait.value() >= 1e-3 && wait.value() <= 1e6)) reader.at("retry_after").fail("accepted: 1 ms to 1e6 s");
  return to_sim_time(wait);
}

ArrivalConfig parse_arrivals(const JsonReader& reader, const FileFolders& folders) {
  ArrivalConfig config;
  const std::string process = reader.string("process");
  if (process == "markov_modulated") {
    only(reader, {"process", "states", "diurnal"});
    config.process = ArrivalProcess::kMarkovModulated;
    for (const JsonReader& state : reader.at("states").elements()) {
      only(state, {"rate", "duration"});
      config.states.push_back({state.rate_per_second("rate"), state.duration("duration").value()});
    }
  } else if (process == "poisson" || process == "gamma") {
    const bool gamma = process == "gamma";
    if (gamma) only(reader, {"process", "rate", "cv", "diurnal"});
    if (!gamma) only(reader, {"process", "rate", "diurnal"});
    config.process = gamma ? ArrivalProcess::kGamma : ArrivalProcess::kPoisson;
    config.rate = reader.rate_per_second("rate");
    if (gamma) config.cv = reader.number("cv");
  } else if (process == "closed") {
    only(reader, {"process", "concurrency", "turnaround", "retry_after"});
    config.process = ArrivalProcess::kClosed;
    const std::int64_t clients = reader.integer("concurrency");
    if (clients < 1 || clients > std::numeric_limits<std::int32_t>::max()) {
      reader.at("concurrency").fail("found " + std::to_string(clients) + "; accepted: 1 to 10000000");
    }
    config.concurrency = static_cast<std::int32_t>(clients);
    if (reader.has("turnaround")) {
      const Seconds turnaround = reader.duration("turnaround");
      if (turnaround.value() > 1e6) reader.at("turnaround").fail("accepted: 1 us to 1e6 s");
      config.turnaround = to_sim_time(turnaround);
    }
    config.retry_after = retry_after(reader);
  } else if (process == "batch") {
    only(reader, {"process"});
    config.process = ArrivalProcess::kBatch;
  } else if (process == "trace") {
    only(reader, {"process", "file", "speedup", "repeat", "copies", "diurnal"});
    config.process = ArrivalProcess::kTrace;
    config.file = folders.find(reader, "file");
    config.speedup = reader.number("speedup", 1.0);
    config.repeat = reader.boolean("repeat", false);
    config.copies = reader.number("copies", 1.0);
  } else {
    reader.at("process").fail("unknown process '" + process + "'; accepted: poisson, gamma, markov_modulated, closed, batch, trace");
  }
  config.hourly_factors = parse_hourly(reader);
  return config;
}

/// The lengths of a class: its own, else the workload's, else those of the arrivals' trace.
LengthConfig lengths_of(const JsonReader& workload, const JsonReader& item, std::string_view key, bool trace,
                        const FileFolders& folders) {
  if (item.has(key)) return parse_lengths(item.at(key), folders);
  if (!workload.has(key) && trace) return LengthConfig::from_trace();
  return parse_lengths(workload.at(key), folders);
}

PrefixConfig parse_prefix(const JsonReader& item) {
  PrefixConfig prefix;
  if (!item.has("prefix")) return prefix;
  const JsonReader reader = item.at("prefix");
  only(reader, {"tokens", "count", "zipf"});
  prefix.tokens = tokens(reader, "tokens");
  prefix.count = tokens_or(reader, "count", 1);
  prefix.zipf = reader.number("zipf", 0.0);
  if (prefix.zipf > 0 && prefix.count == 1) reader.at("zipf").fail("has no effect on one prefix: state how many there are (count)");
  return prefix;
}

SessionConfig parse_sessions(const JsonReader& item, const FileFolders& folders) {
  SessionConfig sessions;
  if (!item.has("sessions")) return sessions;
  const JsonReader reader = item.at("sessions");
  only(reader, {"turns", "think_time", "max_context", "retry_after"});
  sessions.on = true;
  sessions.turns = parse_lengths(reader.at("turns"), folders);
  sessions.think_seconds = reader.has("think_time") ? reader.duration("think_time").value() : 0.0;
  sessions.max_context = reader.has("max_context") ? tokens(reader, "max_context") : 0;
  sessions.retry_after = retry_after(reader);
  return sessions;
}

std::int32_t priority_of(const JsonReader& item) {
  const std::int64_t priority = item.integer("priority", 0);
  if (priority < -1000 || priority > 1000) item.at("priority").fail("found " + std::to_string(priority) + "; accepted: -1000 to 1000");
  return static_cast<std::int32_t>(priority);
}

void parse_classes(const JsonReader& reader, WorkloadConfig& config, const FileFolders& folders) {
  const bool trace = config.arrivals.process == ArrivalProcess::kTrace;
  const auto parse_one = [&](const JsonReader& item, WorkloadClass c) {
    c.prompt_tokens = lengths_of(reader, item, "prompt_tokens", trace, folders);
    c.output_tokens = lengths_of(reader, item, "output_tokens", trace, folders);
    c.prefix = parse_prefix(item);
    c.sessions = parse_sessions(item, folders);
    config.classes.push_back(std::move(c));
  };
  if (!reader.has("classes")) {
    parse_one(reader, WorkloadClass{});
    return;
  }
  for (const char* key : {"prefix", "sessions"}) {
    if (reader.has(key)) reader.at(key).fail("with classes, each class states its own");
  }
  for (const char* key : {"prompt_tokens", "output_tokens"}) {
    const auto items = reader.at("classes").elements();
    if (reader.has(key) && !items.empty() && std::all_of(items.begin(), items.end(), [&](const JsonReader& item) { return item.has(key); })) {
      reader.at(key).fail("has no effect: every class states its own");
    }
  }
  for (const JsonReader& item : reader.at("classes").elements()) {
    only(item, {"name", "weight", "priority", "prompt_tokens", "output_tokens", "prefix", "sessions", "arrivals", "routing", "objectives"});
    WorkloadClass c;
    c.name = item.string("name");
    c.weight = item.number("weight", 1.0);
    c.priority = priority_of(item);
    if (item.has("arrivals")) c.arrivals = parse_arrivals(item.at("arrivals"), folders);
    parse_one(item, std::move(c));
  }
  if (config.classes.empty()) reader.at("classes").fail("accepted: at least one class");
}

/// Whether every class says itself when its requests arrive.
bool all_have_arrivals(const JsonReader& reader) {
  if (!reader.has("classes")) return false;
  const auto classes = reader.at("classes").elements();
  return std::all_of(classes.begin(), classes.end(), [](const JsonReader& item) { return item.has("arrivals"); });
}

}  // namespace

WorkloadConfig parse_workload(const JsonReader& reader, const FileFolders& folders) {
  only(reader, {"$schema", "name", "description", "source", "arrivals", "prompt_tokens", "output_tokens", "prefix", "sessions", "classes",
                "requests", "warmup_requests"});
  WorkloadConfig config;
  if (reader.has("arrivals") || !all_have_arrivals(reader)) config.arrivals = parse_arrivals(reader.at("arrivals"), folders);
  parse_classes(reader, config, folders);
  const bool trace = config.arrivals.process == ArrivalProcess::kTrace;
  const bool closed = config.arrivals.process == ArrivalProcess::kClosed;
  const std::uint64_t fallback = trace ? 0 : closed ? 10 * static_cast<std::uint64_t>(config.arrivals.concurrency) : 1000;
  config.requests = count(reader, "requests", fallback);
  if (config.requests == 0 && reader.has("requests")) reader.at("requests").fail("found 0; accepted: at least 1");
  config.warmup_requests = count(reader, "warmup_requests", 0);
  // In a workload's own file the pointer of the whole is empty, but its members' are not.
  const std::string_view first = reader.has("arrivals") ? "/arrivals" : "/classes";
  const std::string member = reader.at(first.substr(1)).where();
  resolve_workload(config, member.substr(0, member.size() - first.size()));
  return config;
}

}  // namespace moeplan
