#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "base/error.hpp"
#include "input/csv.hpp"
#include "workload/trace_format.hpp"

namespace moeplan {
namespace {

class OwnCsv final : public TraceFormat {
 public:
  explicit OwnCsv(CsvReader csv)
      : csv_(std::move(csv)),
        arrival_(csv_.column("arrival_s")),
        prompt_(csv_.column("prompt_tokens")),
        output_(csv_.column("output_tokens")),
        class_(csv_.find_column("class")),
        prefix_id_(csv_.find_column("prefix_id")),
        prefix_tokens_(csv_.find_column("prefix_tokens")),
        blocks_(csv_.find_column("prefix_blocks")) {}

  bool next(TraceRow& row) override {
    if (!csv_.next()) return false;
    row.arrival = checked_arrival(csv_.number(arrival_), csv_);
    row.prompt_tokens = checked_tokens(csv_.integer(prompt_), csv_, "prompt_tokens");
    row.output_tokens = checked_tokens(csv_.integer(output_), csv_, "output_tokens");
    row.class_name.clear();
    if (class_) {
      row.class_name = csv_.text(*class_);
      if (row.class_name.empty()) csv_.fail("class is empty; accepted: a name in every row, or no class column");
    }
    read_prefix(row);
    row.blocks.clear();
    row.largest_block = 0;
    if (blocks_) read_blocks(csv_.text(*blocks_), row);
    return true;
  }
  [[nodiscard]] std::string where() const override { return csv_.where(); }
  void keep_blocks() override { keep_blocks_ = true; }

 private:
  // "0 14-27": single blocks and runs of them.
  void read_blocks(std::string_view text, TraceRow& row) const {
    if (text.empty()) return;
    std::int64_t count = 0;
    while (!text.empty()) {
      const std::string_view run = text.substr(0, text.find(' '));
      text.remove_prefix(std::min(text.size(), run.size() + 1));
      const std::size_t dash = run.find('-');
      const std::uint32_t first = block(run.substr(0, dash));
      const std::uint32_t last = dash == std::string_view::npos ? first : block(run.substr(dash + 1));
      if (last < first) csv_.fail("prefix_blocks has the run '" + std::string(run) + "'; accepted: numbers and rising runs, such as 0 14-27");
      row.largest_block = std::max(row.largest_block, last);
      count += std::int64_t{last} - first + 1;
      for (std::uint32_t b = first; keep_blocks_ && b <= last; ++b) row.blocks.push_back(b);
    }
    check_block_count(count, row.prompt_tokens, [this] { return csv_.where(); }, "prefix_blocks");
  }
  [[nodiscard]] std::uint32_t block(std::string_view text) const {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    constexpr std::uint32_t kMost = 1U << 31;
    if (error != std::errc() || end != text.data() + text.size() || value > kMost) {
      csv_.fail("prefix_blocks has '" + std::string(text) + "'; accepted: numbers from 0 to 2147483648 and rising runs of them, such as 0 14-27");
    }
    return value;
  }

  // The place of an error is only spelled out when there is one: building it for every row would cost more than reading the row.
  static SimTime checked_arrival(double seconds, const CsvReader& csv) {
    if (seconds >= 0 && seconds <= 3e9) return moeplan::checked_arrival(seconds, {});
    return moeplan::checked_arrival(seconds, csv.where());
  }
  static std::int32_t checked_tokens(std::int64_t value, const CsvReader& csv, std::string_view what) {
    if (value >= 1 && value <= kMaxTokens) return static_cast<std::int32_t>(value);
    return moeplan::checked_tokens(value, csv.where(), what);
  }
  void read_prefix(TraceRow& row) const {
    row.prefix_id = -1;
    row.prefix_tokens = 0;
    if (!prefix_id_ || csv_.empty(*prefix_id_)) return;
    row.prefix_id = csv_.integer(*prefix_id_);
    if (row.prefix_id < 0) csv_.fail("prefix_id is " + std::to_string(row.prefix_id) + "; accepted: a number from 0 on, or nothing");
    if (!prefix_tokens_ || csv_.empty(*prefix_tokens_)) csv_.fail("prefix_id without prefix_tokens");
    const std::int64_t tokens = csv_.integer(*prefix_tokens_);
    if (tokens < 0 || tokens > row.prompt_tokens) {
      csv_.fail("prefix_tokens is " + std::to_string(tokens) + "; accepted: 0 to prompt_tokens, " + std::to_string(row.prompt_tokens));
    }
    row.prefix_tokens = static_cast<std::int32_t>(tokens);
  }

  CsvReader csv_;
  std::size_t arrival_;
  std::size_t prompt_;
  std::size_t output_;
  std::optional<std::size_t> class_;
  std::optional<std::size_t> prefix_id_;
  std::optional<std::size_t> prefix_tokens_;
  std::optional<std::size_t> blocks_;
  bool keep_blocks_ = false;
};

class AzureCsv final : public TraceFormat {
 public:
  explicit AzureCsv(CsvReader csv)
      : csv_(std::move(csv)),
        timestamp_(csv_.column("TIMESTAMP")),
        prompt_(csv_.column("ContextTokens")),
        output_(csv_.column("GeneratedTokens")) {}

  bool next(TraceRow& row) override {
    if (!csv_.next()) return false;
    const std::string place = csv_.where();
    const std::int64_t at = parse_timestamp(csv_.text(timestamp_), place);
    if (!start_) start_ = at;
    if (at < *start_) csv_.fail("arrives before the first row; accepted: rows in order of arrival");
    row = TraceRow{};
    row.arrival = SimTime(at - *start_);
    row.prompt_tokens = checked_tokens(csv_.integer(prompt_), place, "ContextTokens");
    row.output_tokens = checked_tokens(csv_.integer(output_), place, "GeneratedTokens");
    return true;
  }
  [[nodiscard]] std::string where() const override { return csv_.where(); }

 private:
  CsvReader csv_;
  std::size_t timestamp_;
  std::size_t prompt_;
  std::size_t output_;
  std::optional<std::int64_t> start_;
};

}  // namespace

std::unique_ptr<TraceFormat> open_csv_trace(const std::filesystem::path& file) {
  CsvReader csv(file);
  if (csv.find_column("TIMESTAMP")) return std::make_unique<AzureCsv>(std::move(csv));
  if (csv.find_column("arrival_s")) return std::make_unique<OwnCsv>(std::move(csv));
  throw InputError(file.string() + ":1",
                   "not a request trace; accepted: a header arrival_s,prompt_tokens,output_tokens[,class,prefix_id,prefix_tokens,prefix_blocks] or "
                   "TIMESTAMP,ContextTokens,GeneratedTokens, or JSON lines with timestamp, input_length, output_length");
}

}  // namespace moeplan
