// Where a scenario's files (traces, lengths, recorded routing) are looked for: beside the scenario, and below the root of the catalogues, as results name
// what they took from there.
#pragma once

#include <concepts>
#include <filesystem>
#include <string_view>
#include <utility>

namespace moeplan {

class JsonReader;

class FileFolders {
 public:
  /// `base`: of the scenario; `root`: of the catalogues; empty: files lie below `base`, whether they exist or not.
  template <std::convertible_to<std::filesystem::path> Path>
  FileFolders(const Path& base, std::filesystem::path root = {}) : base_(base), root_(std::move(root)) {}  // NOLINT: a folder is one

  /// The file that `reader`'s `key` names. Throws InputError naming both folders where it is in neither.
  [[nodiscard]] std::filesystem::path find(const JsonReader& reader, std::string_view key) const;

 private:
  std::filesystem::path base_, root_;
};

}  // namespace moeplan
