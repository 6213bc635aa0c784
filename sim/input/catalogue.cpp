#include "input/catalogue.hpp"

#include <algorithm>
#include <cctype>

#include "base/error.hpp"
#include "input/printable.hpp"

namespace moeplan {
namespace {

constexpr std::size_t kMaxWord = 64;  // longer words are near nothing, and the distance is quadratic

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U);
      d[i][j] = std::min({replace, d[i - 1][j] + 1, d[i][j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

/// Edits that make the shorter of two words a part of the longer.
std::size_t part_distance(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  std::vector<std::size_t> above(b.size() + 1, 0), row(b.size() + 1);
  for (std::size_t i = 1; i <= a.size(); ++i, std::swap(above, row)) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) row[j] = std::min({above[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U), above[j] + 1, row[j - 1] + 1});
  }
  return *std::min_element(above.begin(), above.end());
}

std::size_t common_beginning(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin()).first - a.begin());
}

/// Names that have most in common with a word that none is near: a part of it, or how it begins.
std::vector<std::string> least_far(std::string_view word, const std::vector<std::string>& names, std::size_t count) {
  const std::string wanted = lower(word.substr(0, kMaxWord));
  std::vector<std::pair<double, std::string>> far;
  for (const std::string& candidate : names) {
    const std::string name = lower(candidate);
    const auto shorter = static_cast<double>(std::max<std::size_t>(1, std::min(wanted.size(), name.size())));
    far.emplace_back((static_cast<double>(part_distance(wanted, name)) - static_cast<double>(common_beginning(wanted, name))) / shorter, candidate);
  }
  std::stable_sort(far.begin(), far.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (std::size_t i = 0; i < far.size() && i < count; ++i) out.push_back(far[i].second);
  return out;
}

/// What could have been meant. A short catalogue is listed.
std::string advice_on(std::string_view id, std::string_view kind, const std::vector<std::string>& ids) {
  constexpr std::size_t kMostListed = 12;
  if (const std::vector<std::string> near = nearest_names(id, ids); !near.empty()) return "did you mean " + list_in_quotes(near) + "?";
  if (ids.size() <= kMostListed || id.empty()) return "accepted: " + list_in_quotes(ids);
  return "the nearest of " + std::to_string(ids.size()) + " known are " + list_in_quotes(least_far(id, ids, 3)) + "; moeplan catalog " + lower(kind) + "s lists all";
}

}  // namespace

std::vector<std::string> catalogue_ids(const std::filesystem::path& folder) {
  std::vector<std::string> ids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".json") ids.push_back(entry.path().stem().string());
  }
  if (error) throw InputError(folder.string(), "cannot be listed: " + error.message());
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::filesystem::path find_catalogue_file(const std::filesystem::path& folder, std::string_view id_or_path, std::string_view kind,
                                          const std::filesystem::path& base, std::string_view where) {
  std::error_code error;
  const bool has_slash = id_or_path.find('/') != std::string_view::npos;
  if (has_slash || id_or_path.ends_with(".json")) {
    const std::filesystem::path file = base / std::filesystem::path(id_or_path);
    if (std::filesystem::is_regular_file(file, error)) return file;
    // A result's scenario names what it took from the catalogues below their common root, wherever it lies itself.
    const std::filesystem::path below_root = folder.parent_path().parent_path() / std::filesystem::path(id_or_path);
    if (has_slash && !folder.empty() && std::filesystem::is_regular_file(below_root, error)) return below_root;
    // "deepseek-ai/DeepSeek-R1" is a name elsewhere.
    const auto near = [&] { return did_you_mean(id_or_path.substr(id_or_path.rfind('/') + 1), catalogue_ids(folder)); };
    if (has_slash) throw InputError(where, "no such " + std::string(kind) + " file " + in_quotes(file.string()) + (id_or_path.ends_with(".json") ? "" : near()));
  }
  const std::vector<std::string> ids = catalogue_ids(folder);
  if (std::binary_search(ids.begin(), ids.end(), id_or_path)) return folder / (std::string(id_or_path) + ".json");
  throw InputError(where, "unknown " + std::string(kind) + " " + in_quotes(id_or_path) + "; " + advice_on(id_or_path, kind, ids));
}

std::vector<std::string> nearest_names(std::string_view word, const std::vector<std::string>& candidates, std::size_t count) {
  const std::string wanted = lower(word);
  if (wanted.empty() || wanted.size() > kMaxWord) return {};
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const std::string& candidate : candidates) {
    const std::string name = lower(candidate);
    if (name.empty() || name.size() > kMaxWord) continue;
    const std::size_t limit = std::max<std::size_t>(1, std::min(wanted.size(), name.size()) / 3);
    std::size_t distance = edit_distance(wanted, name);
    // Part of a name ("mixtral" for "mixtral-8x7b") is near it however long the rest.
    if ((wanted.size() >= 3 && name.find(wanted) != std::string::npos) || (wanted.size() == 2 && name.starts_with(wanted + "_"))) distance = std::min(distance, limit);
    if (distance <= limit) near.emplace_back(distance, candidate);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < near.size() && i < count; ++i) out.push_back(near[i].second);
  return out;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  const std::vector<std::string> near = nearest_names(word, candidates);
  return near.empty() ? "" : " (did you mean " + list_in_quotes(near) + "?)";
}

}  // namespace moeplan
