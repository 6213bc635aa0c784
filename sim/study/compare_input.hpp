// What `compare` is given: scenario files and stored results, which hold their scenario with every default filled in.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "study/scenario.hpp"

namespace moeplan {

struct CompareInput {
  std::string name;                      ///< of the scenario; its file's name where another input has the same
  std::string file;                      ///< as given
  nlohmann::json resolved;               ///< the scenario with every default
  std::optional<Scenario> scenario;      ///< nothing where a stored result's scenario cannot be resolved with today's catalogues
  std::string why_not;                   ///< then: the reason
  std::optional<nlohmann::json> stored;  ///< the stored result; nothing for a scenario
  std::map<std::string, std::string>
      files;  ///< catalogue file -> SHA-256, as of the stored result or of today; the scenario's own left out
  std::vector<std::string> changed_since;  ///< of a stored result: its catalogue files that are no longer what it was made with

  /// Resolves the scenario of a stored result with the catalogues of `data`; says in why_not what is in the way.
  void resolve_with(const DataRoot& data);
};

/// Reads a scenario or a stored result (told by its key `schema`). Throws InputError for anything else.
CompareInput load_compare_input(const std::filesystem::path& file, const DataRoot& data);

/// A scenario in memory.
CompareInput make_compare_input(Scenario scenario, const DataRoot& data);

/// Gives inputs of the same name the names of their files besides, and numbers those that still are the same.
void tell_names_apart(std::vector<CompareInput>& inputs);

/// The scenario that a `resolved` object describes, with the catalogues of `data`. Throws InputError.
Scenario resolve_again(const nlohmann::json& resolved, const std::string& label, const DataRoot& data);

/// Catalogue files of a scenario and their hashes.
std::map<std::string, std::string> hashed_files(const Scenario& scenario, const DataRoot& data);

}  // namespace moeplan
