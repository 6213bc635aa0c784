#include "study/measured_run.hpp"

#include <fmt/core.h>

#include <limits>
#include <map>

#include "base/error.hpp"
#include "input/csv.hpp"

namespace moeplan {

std::string_view to_string(LoadMode mode) {
  switch (mode) {
    case LoadMode::kClosed: return "closed";
    case LoadMode::kOffline: return "offline";
    case LoadMode::kOpen: return "open";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::string_view to_string(RunMetric metric) {
  switch (metric) {
    case RunMetric::kTpot: return "tpot";
    case RunMetric::kTtft: return "ttft";
    case RunMetric::kItl: return "itl";
    case RunMetric::kOutputTokensPerSecond: return "output_tok_s";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::string MeasuredRun::layout_key() const {
  const std::string key = anchor_key() + "|" + kv_cache + (states_split ? "" : "|open split");
  return mode == LoadMode::kOffline ? fmt::format("{}|offline {}/{}", key, isl, osl) : key;
}

std::string MeasuredRun::anchor_key() const {
  return fmt::format("{}|{}|{}|{}|tp{} ep{} pp{} dp{}|{}", model, gpu, engine, engine_version, tp, ep, pp, dp, weights);
}

namespace {

/// Column indices of one table, looked up once.
struct Columns {
  explicit Columns(const CsvReader& csv)
      : id(csv.column("id")), suite(csv.column("suite")), model(csv.column("model")), gpu(csv.column("gpu")), gpus(csv.column("gpus")),
        engine(csv.column("engine")), engine_version(csv.column("engine_version")), tp(csv.column("tp")), ep(csv.column("ep")),
        pp(csv.column("pp")), dp(csv.column("dp")), weights(csv.column("weights")), kv_cache(csv.column("kv_cache")),
        mode(csv.column("mode")), concurrency(csv.column("concurrency")), rate(csv.column("request_rate_per_s")), isl(csv.column("isl")),
        osl(csv.column("osl")), length_low(csv.column("length_low")), quality(csv.column("quality")), notes(csv.column("notes")),
        metrics{csv.column("tpot_ms"), csv.column("ttft_ms"), csv.column("itl_ms"), csv.column("output_tok_s")} {}
  std::size_t id, suite, model, gpu, gpus, engine, engine_version, tp, ep, pp, dp, weights, kv_cache, mode, concurrency, rate, isl, osl,
      length_low, quality, notes;
  std::array<std::size_t, kRunMetrics.size()> metrics;
};

int positive(const CsvReader& csv, std::size_t column, int fallback) {
  if (csv.empty(column)) return fallback;
  const auto value = csv.integer(column);
  if (value < 1 || value > 100'000'000) csv.fail(csv.header()[column] + " must be a positive whole number, found '" + std::string(csv.text(column)) + "'");
  return static_cast<int>(value);
}

LoadMode parse_mode(const CsvReader& csv, std::size_t column) {
  for (const LoadMode mode : {LoadMode::kClosed, LoadMode::kOffline, LoadMode::kOpen}) {
    if (csv.text(column) == to_string(mode)) return mode;
  }
  csv.fail("mode must be closed, offline or open, found '" + std::string(csv.text(column)) + "'");
}

RunQuality parse_quality(const CsvReader& csv, std::size_t column) {
  const auto text = csv.text(column);
  if (text.empty() || text == "A") return RunQuality::kA;
  if (text == "B") return RunQuality::kB;
  if (text == "S") return RunQuality::kS;
  csv.fail("quality must be A, B or S, found '" + std::string(text) + "'");
}

MeasuredRun parse_run(const CsvReader& csv, const Columns& c) {
  MeasuredRun run;
  run.id = csv.text(c.id);
  run.suite = csv.text(c.suite);
  run.model = csv.text(c.model);
  run.gpu = csv.text(c.gpu);
  run.engine = csv.text(c.engine);
  run.engine_version = csv.text(c.engine_version);
  if (run.id.empty() || run.model.empty() || run.gpu.empty() || run.engine.empty()) csv.fail("id, model, gpu and engine must be stated");
  run.tp = positive(csv, c.tp, 1);
  run.ep = positive(csv, c.ep, 1);
  run.pp = positive(csv, c.pp, 1);
  run.dp = positive(csv, c.dp, 1);
  run.states_split = !csv.empty(c.ep) || !csv.empty(c.dp);
  run.gpus = positive(csv, c.gpus, run.tp * run.pp * run.dp);
  run.weights = csv.text(c.weights);
  run.kv_cache = csv.text(c.kv_cache);
  run.mode = parse_mode(csv, c.mode);
  run.concurrency = positive(csv, c.concurrency, 0);
  if (run.mode == LoadMode::kClosed && run.concurrency == 0) csv.fail("a closed run must state its concurrency");
  // "inf" is a benchmark client's word for sending everything at once.
  if (csv.text(c.rate) == "inf") run.request_rate_per_s = std::numeric_limits<double>::infinity();
  else if (!csv.empty(c.rate)) run.request_rate_per_s = csv.number(c.rate);
  if (run.mode == LoadMode::kOpen && !(run.request_rate_per_s > 0)) csv.fail("an open run must state request_rate_per_s");
  run.isl = positive(csv, c.isl, 0);
  run.osl = positive(csv, c.osl, 0);
  if (run.isl == 0 || run.osl == 0) csv.fail("isl and osl must be stated");
  if (!csv.empty(c.length_low)) run.length_low = csv.number(c.length_low);
  if (!(run.length_low > 0 && run.length_low <= 1)) csv.fail("length_low must lie in (0, 1]");
  run.quality = parse_quality(csv, c.quality);
  run.notes = csv.text(c.notes);
  for (std::size_t i = 0; i < kRunMetrics.size(); ++i) {
    if (csv.empty(c.metrics[i])) continue;
    const double value = csv.number(c.metrics[i]);
    if (!(value > 0)) csv.fail(csv.header()[c.metrics[i]] + " must be positive");
    run.measured[i] = value;
  }
  run.line = csv.line();
  return run;
}

}  // namespace

std::vector<MeasuredRun> read_measured_runs(const std::filesystem::path& file) {
  CsvReader csv(file);
  const Columns columns(csv);
  std::vector<MeasuredRun> runs;
  std::map<std::string, std::size_t> lines;
  while (csv.next()) {
    runs.push_back(parse_run(csv, columns));
    const auto [first, fresh] = lines.emplace(runs.back().id, csv.line());
    if (!fresh) csv.fail(fmt::format("id '{}' is already that of line {}; accepted: one row an id", runs.back().id, first->second));
  }
  if (runs.empty()) throw InputError(file.string(), "holds no measured runs");
  return runs;
}

}  // namespace moeplan
