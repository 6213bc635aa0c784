#include "suite/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "input/csv.hpp"

namespace moeplan::bench {
namespace fs = std::filesystem;

namespace {

/// Cuts what follows the last complete line.
void drop_unfinished_line(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  const std::string content = text.str();
  if (content.empty() || content.back() == '\n') return;
  const std::size_t end = content.rfind('\n');
  fs::resize_file(file, end == std::string::npos ? 0 : end + 1);
}

}  // namespace

std::string header_of(Op op) {
  std::string header;
  for (const std::string_view column : info(op).columns) header += std::string(column) + ",";
  return header + "latency_us,framework,fastest_us,ci95_pct,spread_pct,runs,outliers,disturbed,mark";
}

Table::Table(const fs::path& folder, Op op) : op_(op) {
  const fs::path file = folder / (std::string(info(op).name) + ".csv");
  where_ = file.string();
  if (fs::exists(file)) drop_unfinished_line(file);
  const bool fresh = !fs::exists(file) || fs::file_size(file) == 0;
  if (!fresh) read(file);
  file_.reset(std::fopen(where_.c_str(), "a"));
  if (!file_) throw InputError(where_, fmt::format("cannot be written: {}", std::strerror(errno)));
  if (fresh) {
    std::fputs((header_of(op) + "\n").c_str(), file_.get());
    if (std::fflush(file_.get()) != 0) throw InputError(where_, fmt::format("cannot be written: {}", std::strerror(errno)));
  }
}

void Table::read(const fs::path& file) {
  CsvReader csv(file);
  std::string header;
  for (const std::string& name : csv.header()) header += (header.empty() ? "" : ",") + name;
  if (header != header_of(op_)) throw InputError(where_, "is not a table of this suite; name another --out folder");
  const std::size_t framework = csv.column("framework"), fastest = csv.column("fastest_us"), mark = csv.column("mark");
  while (csv.next()) {
    Case c{op_, {}};
    for (std::size_t i = 0; i < info(op_).columns.size(); ++i) c.values.emplace_back(csv.text(i));
    remember(c, csv.number(fastest) * 1e-6, std::string(csv.text(framework)), std::string(csv.text(mark)));
  }
}

void Table::remember(const Case& c, double fastest, const std::string& framework, const std::string& mark) {
  if (fastest_.emplace(c.key(), fastest).second) cases_.push_back(c);
  if (std::find(frameworks_.begin(), frameworks_.end(), framework) == frameworks_.end()) frameworks_.push_back(framework);
  if (!mark.empty()) ++unsteady_;
}

void Table::append(const Case& c, const Summary& s, const std::string& framework, const std::string& mark) {
  const std::string row = fmt::format("{},{:.5g},{},{:.5g},{:.2f},{:.2f},{},{},{},{}\n", c.key(), s.median * 1e6, framework, s.fastest * 1e6,
                                      s.ci95 * 100, s.spread * 100, s.runs, s.outliers, s.disturbed, mark);
  if (std::fputs(row.c_str(), file_.get()) < 0 || std::fflush(file_.get()) != 0) {
    throw InputError(where_, fmt::format("cannot be written: {}", std::strerror(errno)));
  }
  remember(c, s.fastest, framework, mark);
}

}  // namespace moeplan::bench
