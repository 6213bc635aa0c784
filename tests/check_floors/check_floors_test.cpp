#include <doctest/doctest.h>

#include "check_floors/floor_rules.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan::test;
using Lines = std::vector<std::string>;

namespace {
std::string joined(const Lines& lines) {
  std::string out;
  for (const auto& line : lines) out += line + "\n";
  return out;
}
// Assembled, so that the check of this very repository does not find it here.
const std::string kMachinePath = std::string("/ro") + "ot/data.csv";
}  // namespace

TEST_CASE("every include in sim/ points to a lower floor") {
  CHECK(count_includes(MOEPLAN_SOURCE_DIR) > 100);
  CHECK(joined(floor_violations(MOEPLAN_SOURCE_DIR)) == "");
}

TEST_CASE("no file of the repository names a path of somebody's machine") { CHECK(joined(machine_path_violations(MOEPLAN_SOURCE_DIR)) == ""); }

TEST_CASE("includes downwards, on the own floor and of the system are allowed") {
  const TemporaryFolder root;
  root.write("sim/serving/x.cpp", "#include \"serving/x.hpp\"\n#include \"cost/y.hpp\"\n#include \"base/z.hpp\"\n#include <vector>\n");
  root.write("sim/hardware/t.cpp", "#include <boost/graph/graph_traits.hpp>\n");
  CHECK(count_includes(root.path()) == 5);
  CHECK(joined(floor_violations(root.path())) == "");
}

TEST_CASE("an include upwards or sideways is found with file and line") {
  const TemporaryFolder root;
  root.write("sim/base/a.hpp", "#pragma once\n\n#include \"input/csv.hpp\"\n");
  root.write("sim/model/deep/b.hpp", "  #  include \"hardware/gpu_spec.hpp\"\n");
  CHECK(floor_violations(root.path()) == Lines{"sim/base/a.hpp:3: includes input/csv.hpp: floor 1 is not below floor 0",
                                               "sim/model/deep/b.hpp:1: includes hardware/gpu_spec.hpp: floor 2 is not below floor 2"});
}

TEST_CASE("includes that dodge the floors are found: relative ones, unknown folders, banned knowledge") {
  const TemporaryFolder root;
  root.write("sim/base/a.cpp", "#include \"../study/run.hpp\"\n");
  root.write("sim/base/b.cpp", "#include \"error.hpp\"\n");
  root.write("sim/extra/c.cpp", "#include <vector>\n");
  root.write("sim/serving/d.cpp", "#include <nlohmann/json.hpp>\n#include \"input/csv.hpp\"\n");
  root.write("sim/study/e.cpp", "#include <boost/graph/graph_traits.hpp>\n");
  CHECK(floor_violations(root.path()).size() == 6);
}

TEST_CASE("a planted machine path is found, a longer path or an address is not, and build folders are left alone") {
  const TemporaryFolder root;
  root.write("docs/a.md", "fine\nsee " + kMachinePath + "\n");
  root.write("docs/b.md", "https://example.org" + kMachinePath + "\n${prefix}" + kMachinePath + "\n");
  root.write("build/c.txt", kMachinePath);
  root.write(".git/d", kMachinePath);
  root.write(".ci/run", "cd '" + kMachinePath + "'\n");
  const Lines found = machine_path_violations(root.path());
  REQUIRE(found.size() == 2);
  CHECK(found[0].starts_with(".ci/run:1: names a path under "));
  CHECK(found[1].starts_with("docs/a.md:2: names a path under "));
}
