// The rules of the source tree that a compiler does not know: an include points to a lower floor only, and no file names a path of somebody's
// machine. Floors and their numbers are those of sim/; a new floor is added to the table in floor_rules.cpp.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace moeplan::test {

/// One line per broken rule under root/sim: "sim/base/x.hpp:3: includes input/y.hpp: floor 1 is not below floor 0".
std::vector<std::string> floor_violations(const std::filesystem::path& root);

/// Includes that all of root/sim has, so that a test can tell "no violation" from "nothing read".
std::size_t count_includes(const std::filesystem::path& root);

/// "file:line: ..." for each line under `root` that names a machine path. Build folders and hidden folders but .ci are left out.
std::vector<std::string> machine_path_violations(const std::filesystem::path& root);

}  // namespace moeplan::test
