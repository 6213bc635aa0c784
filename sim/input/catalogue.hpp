// Folders of named JSON files (models, gpus, nodes, engines): id -> file, with the nearest ids named when an id is unknown.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace moeplan {

/// Ids (file names without .json) in `folder`, sorted.
std::vector<std::string> catalogue_ids(const std::filesystem::path& folder);

/// The file of `id_or_path`: a path when it names an existing .json file or contains a slash (relative paths are taken from `base`), else
/// `folder`/id.json. A path that is not there is looked for below the root of the catalogues, two folders up from `folder`: so results name files. Throws InputError(where, "unknown <kind> 'x'; did you mean 'y', 'z'?").
std::filesystem::path find_catalogue_file(const std::filesystem::path& folder, std::string_view id_or_path, std::string_view kind,
                                          const std::filesystem::path& base, std::string_view where);

/// Up to `count` candidates nearest to `word` by edit distance, best first; only reasonably near ones.
std::vector<std::string> nearest_names(std::string_view word, const std::vector<std::string>& candidates, std::size_t count = 3);

/// " (did you mean 'a', 'b'?)" or "" when nothing is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace moeplan
