#include "calibration/cost_profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "input/json_reader.hpp"

namespace moeplan {
namespace {

constexpr const char* kSchema = "moeplan.cost-profile/1";

/// Axes are held as logarithms and spelled as the dimensions they are; three decimals restore every integer exactly.
std::string dimension(double logarithm) { return fmt::format("{}", std::round(std::exp2(logarithm) * 1000) / 1000); }

std::string quoted(const std::string& text) { return nlohmann::json(text).dump(); }

std::string json_of(const ErrorSummary& e) {
  return fmt::format(R"({{"rows": {}, "median": {}, "p90": {}, "bias": {}}})", e.rows, e.median, e.p90, e.bias);
}

/// Grids that lines of a table share, in order of first use.
class Grids {
 public:
  std::size_t index(const std::vector<double>& inner) {
    std::string text;
    for (const double x : inner) text += (text.empty() ? "" : ",") + dimension(x);
    const auto [at, added] = where_.emplace(text, texts_.size());
    if (added) texts_.push_back(text);
    return at->second;
  }
  [[nodiscard]] const std::vector<std::string>& texts() const { return texts_; }

 private:
  std::map<std::string, std::size_t> where_;
  std::vector<std::string> texts_;
};

std::string json_of(const ResidualTable& table) {
  Grids grids;
  std::string shapes;
  for (const ResidualShape& shape : table.shapes()) {
    std::string at, lines;
    for (const double x : shape.at) at += (at.empty() ? "" : ",") + dimension(x);
    for (const ResidualLine& line : shape.lines) {
      lines += fmt::format("{}[{},{}", lines.empty() ? "" : ",", dimension(line.outer), grids.index(line.inner));
      for (const double r : line.residual) lines += fmt::format(",{}", std::lround(r * 1000));
      lines += "]";
    }
    shapes += fmt::format("{}\n      {{\"at\": [{}], \"lines\": [{}]}}", shapes.empty() ? "" : ",", at, lines);
  }
  std::string inner;
  for (const std::string& text : grids.texts()) inner += fmt::format("{}\n      [{}]", inner.empty() ? "" : ",", text);
  return fmt::format(",\n    \"grids\": [{}],\n    \"shapes\": [{}]", inner, shapes);
}

template <class Operation>
std::string json_of(const FittedKernel<Operation>& k) {
  std::string constants, worst;
  for (const auto& field : fields_of(k.constants)) {
    constants += fmt::format("{}\"{}\": {}", constants.empty() ? "" : ", ", field.name, k.constants.*field.member);
  }
  for (const WorstRow& row : k.worst) {
    worst += fmt::format("{}{{\"shape\": {}, \"measured_us\": {}, \"predicted_us\": {}}}", worst.empty() ? "" : ", ", quoted(row.shape),
                         row.measured_us, row.predicted_us);
  }
  std::string text = fmt::format("   {{\"framework\": {}, \"kernel\": {}, \"variant\": {}, \"format\": \"{}\", \"products\": \"{}\",",
                                 quoted(k.key.framework), quoted(k.key.kernel), quoted(k.key.variant), to_string(k.key.format),
                                 to_string(k.key.products));
  if (k.sustained) text += " \"sustained\": true,";
  text += fmt::format(" \"from\": {}, \"rows\": {},\n    \"constants\": {{{}}},\n", quoted(k.from), k.rows, constants);
  text += fmt::format("    \"left_out\": {}, \"form_error\": {}, \"table_error\": {},\n    \"worst\": [{}]", quoted(k.left_out),
                      json_of(k.form_error), json_of(k.table_error), worst);
  if (!k.table.empty()) text += json_of(k.table);
  return text + "}";
}

template <class Operation>
std::string json_of(const std::vector<FittedKernel<Operation>>& kernels) {
  std::string text;
  for (const auto& k : kernels) text += (text.empty() ? "" : ",\n") + json_of(k);
  return fmt::format("  \"{}\": [\n{}\n  ]", Operation::kName, text);
}

ErrorSummary error_from(const JsonReader& json) {
  return {static_cast<int>(json.integer("rows")), json.number("median"), json.number("p90"), json.number("bias")};
}

double value_of(const nlohmann::json& value, const JsonReader& where) {
  if (!value.is_number()) where.fail("expected numbers only");
  return value.get<double>();
}

ResidualTable table_from(const JsonReader& json) {
  ResidualTable table;
  if (!json.has("shapes")) return table;
  std::vector<std::vector<double>> grids;
  for (const JsonReader& grid : json.at("grids").elements()) {
    grids.emplace_back();
    for (const auto& x : grid.value()) grids.back().push_back(std::log2(value_of(x, grid)));
    if (!std::is_sorted(grids.back().begin(), grids.back().end()) || grids.back().empty()) grid.fail("a grid must ascend");
  }
  for (const JsonReader& entry : json.at("shapes").elements()) {
    ResidualShape shape;
    const auto& at = entry.at("at").value();
    if (!at.is_array() || at.size() != kShapeAxes) entry.fail("'at' must have " + std::to_string(kShapeAxes) + " numbers");
    for (std::size_t i = 0; i < kShapeAxes; ++i) shape.at[i] = std::log2(value_of(at[i], entry));
    for (const auto& row : entry.at("lines").value()) {
      if (!row.is_array() || row.size() < 3) entry.fail("a line is [outer, grid, residuals...]");
      const auto grid = static_cast<std::size_t>(value_of(row[1], entry));
      if (grid >= grids.size() || grids[grid].size() + 2 != row.size()) entry.fail("a line does not fit its grid");
      ResidualLine line{std::log2(value_of(row[0], entry)), grids[grid], {}};
      for (std::size_t i = 2; i < row.size(); ++i) line.residual.push_back(value_of(row[i], entry) / 1000);
      shape.lines.push_back(std::move(line));
    }
    if (shape.lines.empty()) entry.fail("a shape has no lines");
    table.shapes().push_back(std::move(shape));
  }
  table.finish();
  return table;
}

template <class Operation>
void read_kernels(const JsonReader& all, std::vector<FittedKernel<Operation>>& kernels) {
  if (!all.has(Operation::kName)) return;
  for (const JsonReader& json : all.at(Operation::kName).elements()) {
    FittedKernel<Operation> k;
    k.key = {json.string("framework"), json.string("kernel", ""), json.string("variant", ""), json.precision("format"),
             json.precision("products")};
    k.from = json.string("from", "");
    k.sustained = json.boolean("sustained", false);
    k.rows = static_cast<int>(json.integer("rows"));
    const JsonReader constants = json.at("constants");
    for (const auto& field : fields_of(k.constants)) k.constants.*field.member = constants.number(field.name);
    k.left_out = json.string("left_out", "");
    k.form_error = error_from(json.at("form_error"));
    k.table_error = error_from(json.at("table_error"));
    for (const JsonReader& row : json.at("worst").elements()) {
      k.worst.push_back({row.string("shape"), row.number("measured_us"), row.number("predicted_us")});
    }
    k.table = table_from(json);
    kernels.push_back(std::move(k));
  }
}

template <class Operation>
void append_lines(const std::vector<FittedKernel<Operation>>& kernels, std::vector<ErrorLine>& lines) {
  for (const auto& k : kernels) lines.push_back(error_line(k));
}

}  // namespace

std::string to_json(const CostProfile& profile) {
  std::string kernels;
  std::apply([&](const auto&... op) { ((kernels += (kernels.empty() ? "" : ",\n") + json_of(op)), ...); }, profile.kernels);
  std::string facts = profile.in_engine ? ",\n \"in_engine\": true" : "";
  if (profile.elementwise_bandwidth > 0) facts += fmt::format(",\n \"elementwise_bandwidth\": {:.4g}", profile.elementwise_bandwidth);
  return fmt::format("{{\n \"schema\": \"{}\",\n \"gpu\": {},\n \"kernels\": {{\n{}\n }}\n}}\n", kSchema, quoted(profile.gpu) + facts, kernels);
}

CostProfile read_cost_profile(const std::filesystem::path& file) {
  const JsonDocument document = load_json(file);
  const JsonReader root(document);
  if (root.string("schema", "") != kSchema) root.fail(std::string("not a cost profile: expected \"schema\": \"") + kSchema + "\"");
  CostProfile profile;
  profile.gpu = root.string("gpu");
  profile.in_engine = root.boolean("in_engine", false);
  profile.elementwise_bandwidth = root.number("elementwise_bandwidth", 0);
  if (!(profile.elementwise_bandwidth >= 0 && profile.elementwise_bandwidth < 100)) root.at("elementwise_bandwidth").fail("accepted: 0 to 100");
  const JsonReader kernels = root.at("kernels");
  std::apply([&](auto&... op) { (read_kernels(kernels, op), ...); }, profile.kernels);
  return profile;
}

std::vector<ErrorLine> error_lines(const CostProfile& profile) {
  std::vector<ErrorLine> lines;
  std::apply([&](const auto&... op) { (append_lines(op, lines), ...); }, profile.kernels);
  return lines;
}

}  // namespace moeplan
