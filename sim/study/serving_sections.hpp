// The result's sections about production serving: what the prefix cache, the KV tiers and the admission control did.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace moeplan {

struct Result;

/// Adds the sections that apply to a JSON result.
void add_serving_sections(const Result& result, nlohmann::json& out);

/// The same as text, empty when none applies.
std::string serving_text(const Result& result);

}  // namespace moeplan
