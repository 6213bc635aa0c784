// Which of a document's schema violations to tell the user about, and in which words: the deepest one, in the branch of a oneOf/anyOf that its
// discriminator ("process": "poisson") says was meant. Knows the keywords our schemas use; it explains, valijson decides.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace moeplan {

struct SchemaViolation {
  std::string pointer;  ///< JSON pointer into the document, "" for the root
  std::string what;     ///< found and accepted, without the place
  int depth = 0;        ///< of the pointer
};

/// The violation to report, or nothing when none of the keywords known here is violated. `schema` has local references only.
std::optional<SchemaViolation> find_violation(const nlohmann::json& schema, const nlohmann::json& document);

}  // namespace moeplan
