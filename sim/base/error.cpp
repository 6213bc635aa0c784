#include "base/error.hpp"

#include <string>

namespace moeplan {

void fail_check(const char* condition, const char* file, int line) {
  std::string_view path(file);
  const auto slash = path.find("sim/");
  if (slash != std::string_view::npos) path.remove_prefix(slash);
  throw InternalError("internal check failed: " + std::string(condition) + " (" + std::string(path) + ":" + std::to_string(line) + ")");
}

}  // namespace moeplan
