// A result as one self-contained HTML file: the bundled page with the result's JSON inside. The page draws itself in the browser and holds
// nothing else; no number is made here.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace moeplan {

/// `json`: a result, validation or comparison as `--json` writes it. REQUIRES: valid JSON.
std::string report_page(std::string_view json);

/// The page of the stored result `file`. `schemas`: folder of the schemas of results; types are checked where they are there. Throws InputError when it cannot be
/// read, is no result of moeplan, or holds values of other types.
std::string stored_report_page(const std::string& file, const std::filesystem::path& schemas);

}  // namespace moeplan
