// Runs the moeplan program in a folder of its own and gives back what it printed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/temporary_folder.hpp"

namespace moeplan::test {

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

class Program {
 public:
  /// Runs `moeplan arguments...` with the folder as working directory, its output going to files.
  Outcome run(const std::vector<std::string>& arguments) const;
  /// The same with stdout going to `target`.
  Outcome run_into(const std::string& target, const std::vector<std::string>& arguments) const;
  /// Writes a file into the folder and returns its name.
  std::string write(const std::string& name, const std::string& text) const {
    folder_.write(name, text);
    return name;
  }
  [[nodiscard]] std::string read(const std::string& name) const { return slurp(folder_.path() / name); }
  /// Names of all files in the folder, hidden ones too, sorted.
  [[nodiscard]] std::vector<std::string> files() const;
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
  TemporaryFolder output_;
};

}  // namespace moeplan::test
