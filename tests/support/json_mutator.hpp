// Broken and hostile variants of a valid JSON text, for tests that feed them to a parser: what a slip of the editor, a wrong tool or a bad
// disk makes of a file. The same text and seed give the same variant.
#pragma once

#include <cstdint>
#include <string>

namespace moeplan::test {

/// One to three random changes. About half of the variants are changes of bytes (flips, cuts, repeats), which mostly break the syntax; the others
/// keep it and change the content (values replaced or swapped, numbers made huge or negative, units removed, keys dropped, renamed or doubled).
/// REQUIRES: `text` is JSON, `//` comments allowed.
std::string mutated_json(const std::string& text, std::uint64_t seed);

}  // namespace moeplan::test
