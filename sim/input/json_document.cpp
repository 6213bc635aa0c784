#include "input/json_document.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "base/error.hpp"
#include "input/printable.hpp"
#include "input/schema.hpp"

namespace moeplan {
namespace {

// Walks the text and leaves the position it reached where the parser's callback can see it: nlohmann tells the callback about keys, but not
// where they are.
struct TrackingIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at = nullptr;
  const char** reached = nullptr;

  reference operator*() const { return *at; }
  TrackingIterator& operator++() {
    ++at;
    if (reached != nullptr) *reached = at;
    return *this;
  }
  TrackingIterator operator++(int) {
    TrackingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const TrackingIterator& other) const { return at == other.at; }
  bool operator!=(const TrackingIterator& other) const { return at != other.at; }
};

// "file:line:column" of a byte offset, both counted from 1.
std::string place(const std::string& label, std::string_view text, std::size_t offset) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (std::size_t i = 0; i < offset && i < text.size(); ++i) {
    if (text[i] == '\n') {
      ++line;
      column = 1;
    } else {
      ++column;
    }
  }
  return label + ":" + std::to_string(line) + ":" + std::to_string(column);
}

// Offset of the opening quote of the string whose closing quote lies just before `end`.
std::size_t string_start(std::string_view text, std::size_t end) {
  for (std::size_t i = end < 2 ? 0 : end - 2; i > 0; --i) {
    if (text[i] != '"') continue;
    std::size_t backslashes = 0;
    while (backslashes < i && text[i - 1 - backslashes] == '\\') ++backslashes;
    if (backslashes % 2 == 0) return i;
  }
  return 0;
}

// nlohmann's "[json.exception.parse_error.101] parse error at line 3, column 5: what" without what we say ourselves.
std::string syntax_message(const nlohmann::json::exception& error) {
  std::string_view what(error.what());
  const auto bracket = what.find("] ");
  if (bracket != std::string_view::npos) what.remove_prefix(bracket + 2);
  if (what.starts_with("parse error")) {
    const auto colon = what.find(": ");
    if (colon != std::string_view::npos) what.remove_prefix(colon + 2);
  }
  return "not valid JSON: " + printable(what, 200);
}

class Parser {
 public:
  Parser(const std::string& text, const std::string& label) : text_(text), label_(label), reached_(text.data()) {}

  nlohmann::json parse() {
    const char* begin = text_.data();
    const auto callback = [this](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
      on_event(depth, event, value);
      return true;
    };
    try {
      return nlohmann::json::parse(TrackingIterator{begin, &reached_}, TrackingIterator{begin + text_.size(), nullptr}, callback, true, true);
    } catch (const nlohmann::json::parse_error& error) {
      throw InputError(place(label_, text_, error.byte == 0 ? 0 : error.byte - 1), syntax_message(error));
    } catch (const nlohmann::json::exception& error) {
      throw InputError(place(label_, text_, offset() == 0 ? 0 : offset() - 1), syntax_message(error));
    }
  }

 private:
  [[nodiscard]] std::size_t offset() const { return static_cast<std::size_t>(reached_ - text_.data()); }

  void on_event(int depth, nlohmann::json::parse_event_t event, const nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (depth >= kMaxJsonDepth && (event == Event::object_start || event == Event::array_start)) {
      throw InputError(place(label_, text_, offset() - 1), "nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
    }
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key && !keys_.back().insert(value.get<std::string>()).second) {
      throw InputError(place(label_, text_, string_start(text_, offset())),
                       "duplicate key " + in_quotes(value.get_ref<const std::string&>()) + " in one object");
    }
  }

  const std::string& text_;
  const std::string& label_;
  const char* reached_;
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
};

}  // namespace

JsonDocument::JsonDocument(nlohmann::json root, std::string file_name)
    : file(std::move(file_name)), root_(std::make_unique<const nlohmann::json>(std::move(root))) {}
JsonDocument::~JsonDocument() = default;
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;

std::string read_file(const std::filesystem::path& file) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) throw InputError(file.string(), "is a directory, not a file");
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw InputError(file.string(), std::filesystem::exists(file, error) ? "cannot be read" : "no such file");
  std::ostringstream text;
  text << stream.rdbuf();
  if (stream.bad()) throw InputError(file.string(), "cannot be read");
  return std::move(text).str();
}

JsonDocument parse_json(const std::string& text, const std::string& label, const std::filesystem::path& schema, const std::string& pointer) {
  JsonDocument document(Parser(text, label).parse(), label);
  document.pointer = pointer;
  if (!schema.empty()) check_against_schema(document, schema);
  return document;
}

JsonDocument load_json(const std::filesystem::path& file, const std::filesystem::path& schema) {
  return parse_json(read_file(file), file.string(), schema);
}

}  // namespace moeplan
