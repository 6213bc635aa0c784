#include "check_floors/floor_rules.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <functional>
#include <map>
#include <string_view>
#include <tuple>

namespace moeplan::test {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, int, std::less<>> kFloors = {
    {"base", 0},    {"input", 1},       {"events", 1}, {"hardware", 2}, {"model", 2},   {"workload", 2}, {"routing", 3}, {"calibration", 3},
    {"cost", 4},    {"network", 4},     {"serving", 5}, {"metrics", 6}, {"study", 7}, {"cli", 8}};

// What a floor must not know although it lies below.
struct Ban {
  std::string_view floor;
  std::string_view include;  // how the included path begins
  std::string_view why;
};
constexpr std::array<Ban, 5> kBans = {{{"cost", "workload/", "cost never sees a request"},
                                       {"cost", "events/", "cost has no clock"},
                                       {"serving", "input/", "serving never sees JSON"},
                                       {"serving", "nlohmann/", "serving never sees JSON"},
                                       {"metrics", "nlohmann/", "metrics never sees JSON"}}};

struct Include {
  std::string file;  // relative to the root
  std::size_t line;
  std::string path;
  bool quoted;
};

bool is_source(const fs::path& file) {
  const std::string extension = file.extension().string();
  return extension == ".hpp" || extension == ".cpp" || extension == ".h" || extension == ".cu" || extension == ".inl";
}

// The included path of `line`, "" when it includes nothing.
std::string included_path(std::string_view line, bool& quoted) {
  const auto skip_blanks = [&line] { line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size())); };
  skip_blanks();
  if (!line.starts_with('#')) return "";
  line.remove_prefix(1);
  skip_blanks();
  if (!line.starts_with("include")) return "";
  line.remove_prefix(7);
  skip_blanks();
  if (line.empty() || (line[0] != '"' && line[0] != '<')) return "";
  quoted = line[0] == '"';
  return std::string(line.substr(1, line.find_first_of("\">", 1) - 1));
}

std::vector<Include> includes_of(const fs::path& root) {
  std::vector<Include> out;
  for (const auto& entry : fs::recursive_directory_iterator(root / "sim")) {
    if (!entry.is_regular_file() || !is_source(entry.path())) continue;
    std::ifstream stream(entry.path());
    std::string line;
    for (std::size_t number = 1; std::getline(stream, line); ++number) {
      bool quoted = false;
      std::string path = included_path(line, quoted);
      if (!path.empty()) out.push_back({fs::relative(entry.path(), root).generic_string(), number, std::move(path), quoted});
    }
  }
  std::sort(out.begin(), out.end(), [](const Include& a, const Include& b) { return std::tie(a.file, a.line) < std::tie(b.file, b.line); });
  return out;
}

// The n-th part of a path with slashes; "" when there are fewer.
std::string part(const std::string& path, int n) {
  std::size_t start = 0;
  for (; n > 0; --n) {
    const auto slash = path.find('/', start);
    if (slash == std::string::npos) return "";
    start = slash + 1;
  }
  return path.substr(start, path.find('/', start) - start);
}

// What is wrong with an include of a file on `floor`; "" when nothing is.
std::string complaint(const Include& include, const std::string& floor) {
  for (const Ban& ban : kBans) {
    if (floor == ban.floor && include.path.starts_with(ban.include)) return std::string(ban.why);
  }
  if (include.path.starts_with("boost/graph/") && floor != "hardware") return "only hardware includes Boost.Graph";
  if (!include.quoted) return "";
  const std::string target = part(include.path, 0);
  const auto known = kFloors.find(target);
  if (known == kFloors.end() || part(include.path, 1).empty()) return "not a path that starts with a floor";
  if (target == floor || known->second < kFloors.at(floor)) return "";
  return "floor " + std::to_string(known->second) + " is not below floor " + std::to_string(kFloors.at(floor));
}

// Paths of machines, put together here so that this file does not contain them.
const std::array<std::string, 3> kMachinePaths = {std::string("/wo") + "rk/", std::string("/ro") + "ot/", std::string("/ho") + "me/"};

// A path begins there, rather than continues: ".../work/" inside an address or a longer path is none.
bool path_begins(const std::string& line, std::size_t at) {
  if (at == 0) return true;
  const auto before = static_cast<unsigned char>(line[at - 1]);
  return std::isalnum(before) == 0 && std::string_view("._-}~/").find(static_cast<char>(before)) == std::string_view::npos;
}

bool skipped_folder(const fs::path& folder) {
  const std::string name = folder.filename().string();
  return name == "build" || name == "out" || name == "node_modules" || (name.starts_with('.') && name != ".ci");
}

}  // namespace

std::vector<std::string> floor_violations(const fs::path& root) {
  std::vector<std::string> out;
  for (const Include& include : includes_of(root)) {
    const std::string floor = part(include.file, 1);
    const std::string what = kFloors.contains(floor) ? complaint(include, floor) : "lies on no known floor";
    if (!what.empty()) out.push_back(include.file + ":" + std::to_string(include.line) + ": includes " + include.path + ": " + what);
  }
  return out;
}

std::size_t count_includes(const fs::path& root) { return includes_of(root).size(); }

std::vector<std::string> machine_path_violations(const fs::path& root) {
  std::vector<std::string> out;
  for (auto entry = fs::recursive_directory_iterator(root); entry != fs::recursive_directory_iterator(); ++entry) {
    if (entry->is_directory() && skipped_folder(entry->path())) entry.disable_recursion_pending();
    if (!entry->is_regular_file()) continue;
    std::ifstream stream(entry->path(), std::ios::binary);
    std::string line;
    for (std::size_t number = 1; std::getline(stream, line); ++number) {
      for (const std::string& path : kMachinePaths) {
        const auto at = line.find(path);
        if (at == std::string::npos || !path_begins(line, at)) continue;
        out.push_back(fs::relative(entry->path(), root).generic_string() + ":" + std::to_string(number) + ": names a path under " + path);
      }
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace moeplan::test
