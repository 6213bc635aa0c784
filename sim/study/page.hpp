// A result as one self-contained HTML file: the bundled page with the result's JSON inside. The page draws itself in the browser and holds
// nothing else; no number is made here.
#pragma once

#include <string>
#include <string_view>

namespace moeplan {

/// `json`: a result, validation or comparison as `--json` writes it. REQUIRES: valid JSON.
std::string report_page(std::string_view json);

/// The page of the stored result `file`. Throws InputError when it cannot be read or is no result of moeplan.
std::string stored_report_page(const std::string& file);

}  // namespace moeplan
