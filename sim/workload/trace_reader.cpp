#include "workload/trace_reader.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <fstream>

#include "base/error.hpp"
#include "workload/trace_format.hpp"

namespace moeplan {

SimTime checked_arrival(double seconds, std::string_view where) {
  if (seconds >= 0 && seconds <= 3e9) return SimTime(std::llround(seconds * 1e9));
  throw InputError(where, "arrival is " + std::to_string(seconds) + " s; accepted: 0 to 3e9 s");
}

std::int32_t checked_tokens(std::int64_t value, std::string_view where, std::string_view what) {
  if (value >= 1 && value <= kMaxTokens) return static_cast<std::int32_t>(value);
  throw InputError(where, std::string(what) + " is " + std::to_string(value) + "; accepted: 1 to " + std::to_string(kMaxTokens));
}

void check_block_count(std::int64_t blocks, std::int32_t prompt_tokens, const std::function<std::string()>& where, std::string_view key) {
  const std::int64_t needed = (std::int64_t{prompt_tokens} + kMooncakeBlockTokens - 1) / kMooncakeBlockTokens;
  if (blocks == needed) return;
  throw InputError(where(), std::string(key) + " names " + std::to_string(blocks) + " blocks; accepted: one for every " + std::to_string(kMooncakeBlockTokens) +
                                " tokens of the prompt, " + std::to_string(needed) + " for its " + std::to_string(prompt_tokens));
}

namespace {

/// Takes a number of exactly `digits` digits off the front of `text`; -1 when there is none.
int take_digits(std::string_view& text, std::size_t digits) {
  int value = -1;
  if (text.size() < digits) return -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || end != text.data() + digits || text[0] == '-') return -1;
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

/// Decimals of a second after the point, as nanoseconds; -1 when malformed.
std::int64_t take_fraction(std::string_view& text) {
  std::int64_t value = 0;
  int digits = 0;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    if (++digits > 9) return -1;
    value = value * 10 + (text[0] - '0');
    text.remove_prefix(1);
  }
  if (digits == 0) return -1;
  for (; digits < 9; ++digits) value *= 10;
  return value;
}

}  // namespace

std::int64_t parse_timestamp(std::string_view text, std::string_view where) {
  using namespace std::chrono;
  std::string_view rest = text;
  const int y = take_digits(rest, 4);
  bool ok = take(rest, "-");
  const int mo = take_digits(rest, 2);
  ok = ok && take(rest, "-");
  const int d = take_digits(rest, 2);
  ok = ok && (take(rest, " ") || take(rest, "T"));
  const int h = take_digits(rest, 2);
  ok = ok && take(rest, ":");
  const int mi = take_digits(rest, 2);
  ok = ok && take(rest, ":");
  const int s = take_digits(rest, 2);
  const std::int64_t fraction = take(rest, ".") ? take_fraction(rest) : 0;
  if (!take(rest, "Z")) take(rest, "+00:00");
  ok = ok && rest.empty() && y >= 1970 && y < 2200 && mo >= 1 && d >= 1 && h >= 0 && h < 24 && mi >= 0 && mi < 60 && s >= 0 && s < 61;
  const year_month_day date{year(y), month(static_cast<unsigned>(std::max(mo, 0))), day(static_cast<unsigned>(std::max(d, 0)))};
  if (!ok || fraction < 0 || !date.ok()) {
    throw InputError(where, "TIMESTAMP is '" + std::string(text) + "'; accepted: 2023-11-16 18:17:03.9799600");
  }
  const auto midnight = duration_cast<nanoseconds>(sys_days(date).time_since_epoch());
  return (midnight + hours(h) + minutes(mi) + seconds(s)).count() + fraction;
}

TraceReader::TraceReader(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::error_code error;  // a name too long is none
  if (!std::filesystem::exists(file, error)) throw InputError(file.string(), "no such request trace");
  if (!in || std::filesystem::is_directory(file, error)) throw InputError(file.string(), "cannot be read as a request trace");
  std::string text;
  while (text.find_first_not_of(" \t\r\xEF\xBB\xBF") == std::string::npos) {
    if (!std::getline(in, text)) throw InputError(file.string() + ":1", "the trace is empty; accepted: a CSV header or JSON lines");
  }
  const bool json = text[text.find_first_not_of(" \t\r\xEF\xBB\xBF")] == '{';
  format_ = json ? open_mooncake_trace(file) : open_csv_trace(file);
}

TraceReader::~TraceReader() = default;
TraceReader::TraceReader(TraceReader&&) noexcept = default;
TraceReader& TraceReader::operator=(TraceReader&&) noexcept = default;

bool TraceReader::next(TraceRow& row) {
  if (!format_->next(row)) return false;
  if (row.arrival < last_) {
    throw InputError(where(), "arrives at " + std::to_string(to_seconds(row.arrival).value()) +
                                  " s, before the row above it; accepted: rows in order of arrival");
  }
  last_ = row.arrival;
  return true;
}

void TraceReader::keep_blocks() { format_->keep_blocks(); }

std::string TraceReader::where() const { return format_->where(); }

TraceSummary scan_trace(const std::filesystem::path& file) {
  TraceReader reader(file);
  TraceSummary summary;
  TraceRow row;
  while (reader.next(row)) {
    if (summary.rows++ == 0) summary.first = row.arrival;
    summary.last = row.arrival;
    summary.mean_prompt += row.prompt_tokens;
    summary.mean_output += row.output_tokens;
    summary.longest_prompt = std::max(summary.longest_prompt, row.prompt_tokens);
    summary.longest_output = std::max(summary.longest_output, row.output_tokens);
    summary.longest_request = std::max(summary.longest_request, std::int64_t{row.prompt_tokens} + row.output_tokens);
    summary.largest_block = std::max(summary.largest_block, row.largest_block);
    if (row.class_name.empty()) continue;
    if (std::find(summary.classes.begin(), summary.classes.end(), row.class_name) == summary.classes.end()) {
      if (summary.classes.size() == 1000)
        throw InputError(reader.where(), "more than 1000 classes; accepted: a few names in the class column");
      summary.classes.push_back(row.class_name);
    }
  }
  if (summary.rows == 0) throw InputError(file.string() + ":1", "the trace has no requests; accepted: at least one row");
  summary.mean_prompt /= static_cast<double>(summary.rows);
  summary.mean_output /= static_cast<double>(summary.rows);
  return summary;
}

}  // namespace moeplan
