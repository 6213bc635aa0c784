#include "study/data_root.hpp"

#include <cstdlib>
#include <vector>

#include "base/error.hpp"

namespace moeplan {
namespace fs = std::filesystem;

namespace {
bool holds_catalogues(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_directory(folder / "hardware_profiles/gpus", ignored) && fs::is_directory(folder / "scenarios/models", ignored);
}
}  // namespace

std::string DataRoot::display(const fs::path& file) const {
  std::error_code error;
  const fs::path inside = fs::weakly_canonical(file, error).lexically_relative(fs::weakly_canonical(folder_, error));
  if (!inside.empty() && *inside.begin() != "..") return inside.generic_string();
  return file.filename().string();
}

DataRoot find_data_root(const std::string& chosen, const fs::path& built_from) {
  if (!chosen.empty()) {
    if (!holds_catalogues(chosen)) throw InputError("--data " + chosen, "holds no hardware_profiles/gpus and scenarios/models");
    return DataRoot(chosen);
  }
  if (const char* from_environment = std::getenv("MOEPLAN_DATA"); from_environment != nullptr && *from_environment != '\0') {
    if (!holds_catalogues(from_environment)) {
      throw InputError("$MOEPLAN_DATA = " + std::string(from_environment), "holds no hardware_profiles/gpus and scenarios/models");
    }
    return DataRoot(from_environment);
  }
  std::error_code error;
  const fs::path executable = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    for (fs::path up = executable.parent_path(); up.has_relative_path(); up = up.parent_path()) {
      if (holds_catalogues(up / "share/moeplan")) return DataRoot(up / "share/moeplan");
      if (holds_catalogues(up)) return DataRoot(up);
    }
  }
  if (holds_catalogues(built_from)) return DataRoot(built_from);
  throw InputError("catalogues", "not found beside the binary; name their folder with --data DIR or $MOEPLAN_DATA");
}

}  // namespace moeplan
