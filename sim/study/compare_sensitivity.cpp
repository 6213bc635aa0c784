#include "study/compare_sensitivity.hpp"

#include <fmt/core.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "study/crossings.hpp"

namespace moeplan {

namespace {

using Line = std::vector<std::optional<double>>;

constexpr std::array kBatches = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
constexpr std::array kContexts = {512, 1024, 2048, 4096, 8192, 16'384, 32'768, 65'536, 131'072};
constexpr std::array kSkews = {0.0, 0.25, 0.5, 0.75, 1.0, 1.5};
constexpr int kContextBatch = 8;
constexpr int kSkewBatch = 64;

double mean_context(const ComparedRun& run) { return run.lengths.prompt_tokens + run.lengths.output_tokens / 2; }

/// Whether one replica can decode `batch` sequences of `context` tokens together.
bool holds(const ComparedRun& run, int batch, double context) {
  const DeploymentConfig& d = run.deployment->config();
  const int slots = d.scheduler.max_batch_requests * d.layout.attention_data;
  return batch <= slots && context <= d.model.max_context &&
         batch <= sequences_in(run.deployment->memory().plan, context);
}

std::optional<double> tpot(const ComparedRun& run, int batch, double context) {
  if (run.deployment == nullptr || !holds(run, batch, context)) return std::nullopt;
  return run.deployment->cost().steady_decode(batch, context);
}

/// USD per million output tokens of a replica that only decodes.
std::optional<double> decode_cost(const ComparedRun& run, int batch) {
  const auto seconds = tpot(run, batch, mean_context(run));
  if (!seconds || !run.row.usd_per_hour) return std::nullopt;
  return *run.row.usd_per_hour / run.row.replicas / 3600 * *seconds / batch * 1e6;
}

/// `value(run, x)` of every run at every value.
template <class Values, class Value>
Sensitivity sample(std::string parameter, std::string metric, std::string text, const Values& values, const std::vector<ComparedRun>& runs,
                   Value value) {
  Sensitivity s{std::move(parameter), std::move(metric), std::move(text), {values.begin(), values.end()}, {}};
  s.by_scenario.assign(runs.size(), Line(values.size()));
  tbb::parallel_for(std::size_t{0}, runs.size() * values.size(), [&](std::size_t i) {
    const std::size_t run = i / values.size();
    const std::size_t k = i % values.size();
    s.by_scenario[run][k] = value(runs[run], values[k]);
  });
  return s;
}

/// The largest batch up to kSkewBatch that every deployment holds at its mean context.
int common_batch(const std::vector<ComparedRun>& runs) {
  int batch = kSkewBatch;
  while (batch > 1 && std::any_of(runs.begin(), runs.end(),
                                  [&](const ComparedRun& run) { return run.deployment && !holds(run, batch, mean_context(run)); }))
    batch /= 2;
  return batch;
}

std::optional<double> skewed_tpot(const ComparedRun& run, double sigma, int batch, StudyLibraries& shared) {
  if (run.deployment == nullptr) return std::nullopt;
  if (!run.row.moe) return tpot(run, batch, mean_context(run));
  DeploymentConfig config = run.deployment->config();
  const RoutingLocality locality = config.routing.locality;
  config.routing = {};
  config.routing.popularity = PopularityKind::kLognormal;
  config.routing.sigma = sigma;
  config.routing.locality = locality;
  return Deployment(config, shared).cost().steady_decode(batch, mean_context(run));
}

std::string number(double value) { return value >= 100 ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}", value); }

Crossing make_crossing(const Sensitivity& s, std::size_t a, std::size_t b, const LineCrossing& found,
                       const std::vector<ComparedRun>& runs) {
  Crossing c;
  c.what = s.parameter;
  c.metric = s.metric;
  c.a = a;
  c.b = b;
  c.at = found.at;
  c.better_above = found.second_lower_above ? b : a;
  c.unit = s.parameter == "batch" ? "sequences" : s.parameter == "context" ? "tokens" : "sigma";
  const std::string& winner = runs[c.better_above].row.name;
  const std::string& loser = runs[found.second_lower_above ? a : b].row.name;
  const char* verb = s.metric == "tpot_s" ? "has the shorter time per output token" : "has the cheaper output tokens";
  if (s.parameter == "batch") {
    c.text = fmt::format("above {} sequences decoded together {} {}; below, {}", number(c.at), winner, verb, loser);
  } else if (s.parameter == "context") {
    c.text = fmt::format("above {} tokens of context {} {}; below, {}", number(c.at), winner, verb, loser);
  } else {
    c.text = fmt::format("with routing skewed more than sigma {} {} {}; with less, {}", number(c.at), winner, verb, loser);
  }
  return c;
}

/// Time per output token at a load, between the points of a curve that are not saturated.
std::optional<double> tpot_at_load(const LoadCurve& curve, double load) {
  for (std::size_t i = 1; i < curve.points.size(); ++i) {
    const LoadPoint& low = curve.points[i - 1];
    const LoadPoint& high = curve.points[i];
    if (load < low.offered_per_s || load > high.offered_per_s) continue;
    if (low.saturated || high.saturated || !low.tpot_p50_s || !high.tpot_p50_s) return std::nullopt;
    const double share = (load - low.offered_per_s) / (high.offered_per_s - low.offered_per_s);
    return *low.tpot_p50_s + share * (*high.tpot_p50_s - *low.tpot_p50_s);
  }
  return std::nullopt;
}

/// Between points of load curves, runs of 5,000 requests and more.
constexpr double kRunNoise = 0.01;

void add_load_crossings(const std::vector<ComparedRun>& runs, std::size_t a, std::size_t b, std::vector<Crossing>& out) {
  std::set<double> loads;
  for (const std::size_t i : {a, b}) {
    for (const LoadPoint& p : runs[i].curve->points) loads.insert(p.offered_per_s);
  }
  const std::vector<double> x(loads.begin(), loads.end());
  Line first;
  Line second;
  for (const double load : x) {
    first.push_back(tpot_at_load(*runs[a].curve, load));
    second.push_back(tpot_at_load(*runs[b].curve, load));
  }
  for (const LineCrossing& found : line_crossings(x, first, second, false, kRunNoise)) {
    const std::size_t winner = found.second_lower_above ? b : a;
    const std::size_t loser = found.second_lower_above ? a : b;
    out.push_back({"load", "tpot_p50_s", a, b, found.at, "requests/s", winner,
                   fmt::format("above {} requests/s on one deployment each {} has the shorter median time per output token; below, {}",
                               number(found.at), runs[winner].row.name, runs[loser].row.name)});
  }
}

void add_cost_crossing(const std::vector<ComparedRun>& runs, std::size_t a, std::size_t b, std::vector<Crossing>& out) {
  const ComparedRow& first = runs[a].row;
  const ComparedRow& second = runs[b].row;
  if (!first.usd_per_hour || !second.usd_per_hour || !(*first.capacity_per_s > 0) || !(*second.capacity_per_s > 0)) return;
  const auto found = staircase_crossing({*first.usd_per_hour, *first.capacity_per_s}, {*second.usd_per_hour, *second.capacity_per_s});
  const double ratio = (*first.usd_per_hour / *first.capacity_per_s) / (*second.usd_per_hour / *second.capacity_per_s);
  if (!found || std::abs(std::log(ratio)) <= kCapacityError) return;  // which is cheaper per request is not known
  const ComparedRow& winner = found->second_lower_above ? second : first;
  const ComparedRow& loser = found->second_lower_above ? first : second;
  out.push_back({"load", "usd_per_hour", a, b, found->at, "requests/s", found->second_lower_above ? b : a,
                 fmt::format("above {} requests/s {} never costs more than {}; below, there are loads at which {} is cheaper",
                             number(found->at), winner.name, loser.name, loser.name)});
}

}  // namespace

std::vector<Sensitivity> sensitivities(const std::vector<ComparedRun>& runs, StudyLibraries& shared) {
  const int batch = common_batch(runs);
  return {sample("batch", "tpot_s", "sequences decoded together on one replica, at the workload's mean context", kBatches, runs,
                 [](const ComparedRun& run, int b) { return tpot(run, b, mean_context(run)); }),
          sample("batch", "usd_per_million_output_tokens", "decoding alone, on one replica", kBatches, runs,
                 [](const ComparedRun& run, int b) { return decode_cost(run, b); }),
          sample("context", "tpot_s", fmt::format("tokens of context of each of {} sequences decoded together", kContextBatch), kContexts,
                 runs, [](const ComparedRun& run, int context) { return tpot(run, kContextBatch, context); }),
          sample("routing_skew", "tpot_s", fmt::format("sigma of log-normal expert popularity, {} sequences decoded together", batch),
                 kSkews, runs, [&](const ComparedRun& run, double sigma) { return skewed_tpot(run, sigma, batch, shared); })};
}

std::vector<Crossing> crossings(const std::vector<ComparedRun>& runs, const std::vector<Sensitivity>& sensitivity) {
  std::vector<Crossing> out;
  for (std::size_t a = 0; a < runs.size(); ++a) {
    for (std::size_t b = a + 1; b < runs.size(); ++b) {
      if (!runs[a].curve || !runs[b].curve) continue;
      for (const Sensitivity& s : sensitivity) {
        const bool log_x = s.parameter != "routing_skew";
        for (const LineCrossing& found : line_crossings(s.values, s.by_scenario[a], s.by_scenario[b], log_x)) {
          out.push_back(make_crossing(s, a, b, found, runs));
        }
      }
      add_load_crossings(runs, a, b, out);
      add_cost_crossing(runs, a, b, out);
    }
  }
  return out;
}

}  // namespace moeplan
