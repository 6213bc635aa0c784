// Pieces of user input inside one-line messages: shortened, and without line breaks, control characters or broken UTF-8.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace moeplan {

/// `text` with every control or non-UTF-8 byte as '?', cut to `max_bytes` with "..." at the end.
std::string printable(std::string_view text, std::size_t max_bytes = 80);

/// "'text'", shortened like printable().
std::string in_quotes(std::string_view text);

/// A value as a message names it: "'x'", 12.5, true, null, "an object", "an array".
std::string describe(const nlohmann::json& value);

/// "'a', 'b', 'c'"; past `max_count` names, "... (N more)".
std::string list_in_quotes(const std::vector<std::string>& names, std::size_t max_count = 24);

/// `pointer` extended by a key, escaped as RFC 6901 wants it.
std::string pointer_to(std::string_view pointer, std::string_view key);

}  // namespace moeplan
