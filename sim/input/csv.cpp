#include "input/csv.hpp"

#include <charconv>
#include <cmath>
#include <fstream>

#include "base/error.hpp"
#include "input/catalogue.hpp"
#include "input/printable.hpp"

namespace moeplan {
namespace {

// A row longer than this is no table but a wrong file, or a quote that was never closed.
constexpr std::size_t kMaxRowBytes = 1 << 20;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

struct CsvReader::State {
  std::string file;
  std::ifstream stream;
  std::vector<std::string> header;
  std::vector<std::string> fields;
  std::size_t field_count = 0;  // fields of the current row; `fields` keeps its strings to save allocations
  std::string raw;              // the current line
  std::size_t lines_read = 0;
  std::size_t row_line = 0;  // where the current row starts

  [[noreturn]] void fail(std::string_view what) const { throw InputError(file + ":" + std::to_string(row_line), what); }

  bool read_line() {
    raw.clear();
    std::streambuf& buffer = *stream.rdbuf();
    int c = buffer.sbumpc();
    if (c == EOF) return false;
    ++lines_read;
    for (; c != EOF && c != '\n'; c = buffer.sbumpc()) {
      if (raw.size() == kMaxRowBytes) {
        row_line = lines_read;
        fail("a row of more than " + std::to_string(kMaxRowBytes) + " bytes");
      }
      raw += static_cast<char>(c);
    }
    if (!raw.empty() && raw.back() == '\r') raw.pop_back();
    if (lines_read == 1 && raw.starts_with("\xEF\xBB\xBF")) raw.erase(0, 3);
    return true;
  }

  std::string& new_field() {
    if (field_count == fields.size()) fields.emplace_back();
    fields[field_count].clear();
    return fields[field_count++];
  }

  // A quoted field from the quote at raw[i]; it may run over several lines. Returns the index after the closing quote.
  std::size_t read_quoted(std::size_t i, std::string& field) {
    for (++i;;) {
      if (i >= raw.size()) {
        if (!read_line() || field.size() > kMaxRowBytes) fail("a quote is opened and never closed");
        field += '\n';
        i = 0;
      } else if (raw[i] != '"') {
        field += raw[i++];
      } else if (i + 1 < raw.size() && raw[i + 1] == '"') {
        field += '"';
        i += 2;
      } else {
        return i + 1;
      }
    }
  }

  // Reads the next non-empty row into `fields`; false at the end of the file.
  bool read_row() {
    do {
      if (!read_line()) return false;
    } while (trimmed(raw).empty());
    row_line = lines_read;
    field_count = 0;
    for (std::size_t i = 0;;) {
      std::string& field = new_field();
      while (i < raw.size() && (raw[i] == ' ' || raw[i] == '\t')) ++i;
      if (i < raw.size() && raw[i] == '"') {
        i = read_quoted(i, field);
        while (i < raw.size() && (raw[i] == ' ' || raw[i] == '\t')) ++i;
        if (i < raw.size() && raw[i] != ',') fail("text after the closing quote of field " + std::to_string(field_count));
      } else {
        const std::size_t end = std::min(raw.find(',', i), raw.size());
        field = trimmed(std::string_view(raw).substr(i, end - i));
        i = end;
      }
      if (i >= raw.size()) return true;
      ++i;  // the comma
    }
  }

  void read_header() {
    if (!read_row()) throw InputError(file, "is empty, accepted: a header line with column names");
    fields.resize(field_count);
    header = fields;
    for (std::size_t i = 0; i < header.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        if (header[i] == header[k]) fail("column " + in_quotes(header[i]) + " appears twice in the header");
      }
    }
  }
};

CsvReader::CsvReader(const std::filesystem::path& file) : state_(std::make_unique<State>()) {
  state_->file = file.string();
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) throw InputError(state_->file, "is a directory, not a file");
  state_->stream.open(file, std::ios::binary);
  if (!state_->stream) throw InputError(state_->file, std::filesystem::exists(file, error) ? "cannot be read" : "no such file");
  state_->read_header();
}
CsvReader::~CsvReader() = default;
CsvReader::CsvReader(CsvReader&&) noexcept = default;
CsvReader& CsvReader::operator=(CsvReader&&) noexcept = default;

const std::vector<std::string>& CsvReader::header() const { return state_->header; }

std::optional<std::size_t> CsvReader::find_column(std::string_view name) const {
  for (std::size_t i = 0; i < state_->header.size(); ++i) {
    if (state_->header[i] == name) return i;
  }
  return std::nullopt;
}

std::size_t CsvReader::column(std::string_view name) const {
  if (const auto found = find_column(name)) return *found;
  throw InputError(state_->file + ":1", "no column " + in_quotes(name) + did_you_mean(name, state_->header) + ", found: " + list_in_quotes(state_->header));
}

bool CsvReader::next() {
  State& state = *state_;
  if (!state.read_row()) return false;
  if (state.field_count != state.header.size()) {
    state.fail("found " + std::to_string(state.field_count) + " fields, accepted: " + std::to_string(state.header.size()) + " as in the header");
  }
  return true;
}

std::string_view CsvReader::text(std::size_t column) const {
  MOEPLAN_CHECK(column < state_->field_count);
  return state_->fields[column];
}

double CsvReader::number(std::size_t column) const {
  const std::string_view field = text(column);
  double value = 0;
  const auto [rest, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || rest != field.data() + field.size() || !std::isfinite(value)) {
    fail("column " + in_quotes(state_->header[column]) + ": found " + in_quotes(field) + ", accepted: a number");
  }
  return value;
}

std::int64_t CsvReader::integer(std::size_t column) const {
  const std::string_view field = text(column);
  std::int64_t value = 0;
  const auto [rest, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error == std::errc() && rest == field.data() + field.size()) return value;
  double real = 0;  // some tools write every number with a decimal point
  const auto [real_rest, real_error] = std::from_chars(field.data(), field.data() + field.size(), real);
  const bool whole = real_error == std::errc() && real_rest == field.data() + field.size() && std::abs(real) <= 0x1.0p53 && std::floor(real) == real;
  if (!whole) fail("column " + in_quotes(state_->header[column]) + ": found " + in_quotes(field) + ", accepted: an integer");
  return static_cast<std::int64_t>(real);
}

std::size_t CsvReader::line() const { return state_->row_line; }
std::string CsvReader::where() const { return state_->file + ":" + std::to_string(state_->row_line); }
void CsvReader::fail(std::string_view what) const { state_->fail(printable(what, 2000)); }

}  // namespace moeplan
