#include "calibration/measured_rows.hpp"

#include <algorithm>
#include <functional>
#include <map>

#include "base/error.hpp"
#include "input/csv.hpp"

namespace moeplan {

std::string KernelKey::engine() const { return framework.substr(0, framework.find('-')); }

bool KernelKey::of_no_engine() const {
  const std::string name = engine();
  return name == "deepgemm" || name == "cublas" || name == "cudnn" || of_suite();
}

bool KernelKey::of_suite() const { return framework.starts_with("moeplan-cuda"); }

namespace {

/// A row by column name; the reader knows where it is.
class Row {
 public:
  explicit Row(CsvReader& csv) : csv_(csv) {}

  double number(const char* column) { return csv_.number(csv_.column(column)); }
  int integer(const char* column) { return static_cast<int>(csv_.integer(csv_.column(column))); }
  std::string text(const char* column) { return std::string(csv_.text(csv_.column(column))); }
  double positive(const char* column) {
    const double value = number(column);
    if (!(value > 0)) csv_.fail(std::string(column) + " must be positive");
    return value;
  }
  Precision precision(const char* column) {
    const auto p = precision_from_string(csv_.text(csv_.column(column)));
    if (!p) csv_.fail("unknown number format '" + text(column) + "' in column " + column);
    return *p;
  }
  [[noreturn]] void fail(const std::string& what) { csv_.fail(what); }
  std::size_t line() { return csv_.line(); }
  /// Marked by the microbenchmarks: its median is that of samples during which others had the processor.
  bool disturbed() {
    const auto mark = csv_.find_column("mark");
    return mark && csv_.text(*mark) == "disturbed";
  }

 private:
  CsvReader& csv_;
};

std::string joined(std::initializer_list<double> values) {
  std::string text;
  for (const double v : values) text += std::to_string(static_cast<long long>(v)) + "/";
  text.pop_back();
  return text;
}

void read_shape(Row& row, KernelKey& key, Sample<GemmOperation>& sample) {
  key.format = row.precision("dtype");
  sample.shape = {row.positive("m"), row.positive("n"), row.positive("k"), key.format};
  sample.group = joined({sample.shape.n, sample.shape.k});
}

void read_shape(Row& row, KernelKey& key, Sample<MoeOperation>& sample) {
  key.format = row.precision("dtype");
  MoeShape& s = sample.shape;
  const int width = row.integer("tp");
  const int ranks = row.integer("ep");
  if (width < 1 || ranks < 1) row.fail("tp and ep must be positive");
  s.tokens = row.positive("tokens");
  s.pairs = row.positive("pairs");
  s.experts = row.positive("touched");
  s.hidden = row.integer("hidden");
  s.inter = row.integer("inter") / width;
  s.top_k = row.integer("top_k");
  s.total_experts = row.integer("experts");
  s.local_experts = std::max(1, s.total_experts / ranks);
  s.pairs_nonlocal = std::max(0.0, s.tokens * s.top_k - s.pairs);
  s.weights = key.format;
  sample.load_cv = row.number("load_cv");
  sample.group = joined({row.number("hidden"), row.number("inter"), row.number("top_k"), row.number("experts")});
}

void read_shape(Row& row, KernelKey& key, Sample<DecodeOperation>& sample) {
  key.products = row.precision("dtype");
  key.format = row.precision("kv_dtype");
  const double batch = row.positive("batch");
  sample.shape = {batch, batch * row.positive("kv_len"), row.integer("heads"), row.integer("kv_heads"), row.integer("head_dim"), key.format};
  sample.group = joined({row.number("heads"), row.number("kv_heads"), row.number("head_dim")});
}

void read_shape(Row& row, KernelKey& key, Sample<PrefillOperation>& sample) {
  key.products = row.precision("dtype");
  key.format = row.precision("kv_dtype");
  sample.shape = {row.positive("q_len"),    row.number("prefix"), row.integer("heads"), row.integer("kv_heads"),
                  row.integer("head_dim"), key.format,           row.positive("batch")};
  sample.group = joined({row.number("heads"), row.number("kv_heads"), row.number("head_dim")});
}

void read_shape(Row& row, KernelKey& key, Sample<MlaDecodeOperation>& sample) {
  key.products = row.precision("dtype");
  key.format = row.precision("kv_dtype");
  MlaDecodeShape& s = sample.shape;
  s.sequences = row.positive("batch");
  s.context = s.sequences * row.positive("kv_len");
  s.heads = row.integer("heads");
  s.kv = key.format;
  sample.group = joined({row.number("heads")});
}

void read_shape(Row& row, KernelKey& key, Sample<MlaPrefillOperation>& sample) {
  key.products = row.precision("dtype");
  key.format = row.precision("kv_dtype");
  MlaPrefillShape& s = sample.shape;
  s.sequences = row.positive("batch");
  s.tokens = row.positive("q_len");
  s.prefix = row.number("prefix");
  s.heads = row.integer("heads");
  s.kv = key.format;
  sample.group = joined({row.number("heads")});
}

CollectiveKind collective_kind(Row& row) {
  const std::string op = row.text("op");
  if (op == "all_reduce") return CollectiveKind::kAllReduce;
  if (op == "all_gather") return CollectiveKind::kAllGather;
  if (op == "reduce_scatter") return CollectiveKind::kReduceScatter;
  if (op == "all_to_all") return CollectiveKind::kAllToAll;
  row.fail("unknown collective '" + op + "'; known are all_reduce, all_gather, reduce_scatter, all_to_all");
}

void read_shape(Row& row, KernelKey& key, Sample<CollectiveOperation>& sample) {
  CollectiveShape& s = sample.shape;
  s.kind = collective_kind(row);
  s.bytes = row.positive("bytes");
  s.ranks = row.integer("ranks");
  key.variant = row.text("op");
  sample.group = joined({s.bytes});
}

ExchangeMode exchange_mode(Row& row) {
  const std::string mode = row.text("mode");
  if (mode == "deepep_low_latency") return ExchangeMode::kDeepEpLowLatency;
  if (mode == "deepep_normal") return ExchangeMode::kDeepEpNormal;
  if (mode == "nvlink_one_sided") return ExchangeMode::kNvlinkOneSided;
  if (mode == "nvlink_two_sided") return ExchangeMode::kNvlinkTwoSided;
  row.fail("unknown mode '" + mode + "'; known are deepep_low_latency, deepep_normal, nvlink_one_sided, nvlink_two_sided");
}

void read_shape(Row& row, KernelKey& key, Sample<ExchangeOperation>& sample) {
  ExpertExchangeShape& s = sample.shape;
  s.mode = exchange_mode(row);
  s.combine = row.text("op") == "combine";
  s.tokens = row.positive("tokens");
  s.hidden = row.integer("hidden");
  s.top_k = row.integer("top_k");
  s.total_experts = row.integer("experts");
  s.ranks = row.integer("ranks");
  s.nodes = row.integer("nodes");
  s.payload = row.precision("dtype");
  key.variant = row.text("mode") + "." + row.text("op") + "." + std::to_string(s.nodes);
  sample.group = joined({row.number("hidden"), row.number("top_k"), row.number("experts"), row.number("ranks")});
}

}  // namespace

template <class Operation>
std::vector<KernelRows<Operation>> read_measured(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / (std::string(Operation::kName) + ".csv");
  if (!std::filesystem::exists(file)) return {};
  std::map<KernelKey, std::vector<Sample<Operation>>> sets;
  CsvReader csv(file);
  while (csv.next()) {
    Row row(csv);
    if (row.disturbed()) continue;
    KernelKey key;
    const std::string framework = row.text("framework");
    const std::size_t slash = framework.find('/');
    key.framework = framework.substr(0, slash);
    if (slash != std::string::npos) key.kernel = framework.substr(slash + 1);
    Sample<Operation> sample;
    sample.us = row.positive("latency_us");
    sample.line = row.line();
    read_shape(row, key, sample);
    sets[key].push_back(std::move(sample));
  }
  std::vector<KernelRows<Operation>> result;
  for (auto& [key, rows] : sets) result.push_back({key, std::move(rows)});
  return result;
}

std::vector<ElementwiseRow> read_elementwise(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "elementwise.csv";
  std::vector<ElementwiseRow> rows;
  if (!std::filesystem::exists(file)) return rows;
  CsvReader csv(file);
  while (csv.next()) {
    Row row(csv);
    if (row.disturbed()) continue;
    rows.push_back({row.positive("bytes"), row.positive("latency_us")});
  }
  return rows;
}

int count_disturbed(const std::filesystem::path& folder) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".csv") continue;
    CsvReader csv(entry.path());
    while (csv.next()) count += Row(csv).disturbed();
  }
  return count;
}

template std::vector<KernelRows<GemmOperation>> read_measured(const std::filesystem::path&);
template std::vector<KernelRows<MoeOperation>> read_measured(const std::filesystem::path&);
template std::vector<KernelRows<DecodeOperation>> read_measured(const std::filesystem::path&);
template std::vector<KernelRows<PrefillOperation>> read_measured(const std::filesystem::path&);
template std::vector<KernelRows<MlaDecodeOperation>> read_measured(const std::filesystem::path&);
template std::vector<KernelRows<MlaPrefillOperation>> read_measured(const std::filesystem::path&);
template std::vector<KernelRows<CollectiveOperation>> read_measured(const std::filesystem::path&);
template std::vector<KernelRows<ExchangeOperation>> read_measured(const std::filesystem::path&);

}  // namespace moeplan
