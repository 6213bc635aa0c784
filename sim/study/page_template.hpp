// The page of reports/web as it was bundled at build: what stands before and after the data.
#pragma once

#include <string_view>

namespace moeplan {

std::string_view page_head();
std::string_view page_tail();

}  // namespace moeplan
