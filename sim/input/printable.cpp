#include "input/printable.hpp"

#include <nlohmann/json.hpp>

namespace moeplan {
namespace {

bool continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

// Length of the well-formed UTF-8 sequence that starts at text[i]; 0 when there is none.
std::size_t sequence_length(std::string_view text, std::size_t i) {
  const auto c = static_cast<unsigned char>(text[i]);
  std::size_t length = 0;
  if (c < 0x80) return (c >= 0x20 && c != 0x7F) ? 1 : 0;
  if (c >= 0xC2 && c < 0xE0) length = 2;
  else if (c >= 0xE0 && c < 0xF0) length = 3;
  else if (c >= 0xF0 && c < 0xF5) length = 4;
  if (length == 0 || i + length > text.size()) return 0;
  for (std::size_t k = 1; k < length; ++k) {
    if (!continuation(text[i + k])) return 0;
  }
  return length;
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text, i);
    if (out.size() + std::max<std::size_t>(length, 1) > max_bytes) return out + "...";
    if (length == 0) {
      out += '?';
      ++i;
    } else {
      out += text.substr(i, length);
      i += length;
    }
  }
  return out;
}

std::string in_quotes(std::string_view text) { return "'" + printable(text) + "'"; }

std::string describe(const nlohmann::json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  return value.dump();
}

std::string list_in_quotes(const std::vector<std::string>& names, std::size_t max_count) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i == max_count) return out + ", ... (" + std::to_string(names.size() - max_count) + " more)";
    if (i > 0) out += ", ";
    out += in_quotes(names[i]);
  }
  return out;
}

std::string pointer_to(std::string_view pointer, std::string_view key) {
  std::string out(pointer);
  out += '/';
  for (const char c : key) {
    if (c == '~') out += "~0";
    else if (c == '/') out += "~1";
    else out += c;
  }
  return out;
}

}  // namespace moeplan
