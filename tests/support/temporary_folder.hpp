// A folder of its own for a test that needs files; removed with all its content at the end.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace moeplan::test {

class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Writes a file of that name (folders on the way are made) and returns its path.
  std::filesystem::path write(std::string_view name, std::string_view content) const;

 private:
  std::filesystem::path path_;
};

/// A whole file as bytes; "" when there is none.
std::string slurp(const std::filesystem::path& file);

}  // namespace moeplan::test
