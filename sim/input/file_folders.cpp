#include "input/file_folders.hpp"

#include <string>

#include "input/json_reader.hpp"
#include "input/printable.hpp"

namespace moeplan {
namespace fs = std::filesystem;

fs::path FileFolders::find(const JsonReader& reader, std::string_view key) const {
  const fs::path name = reader.string(key);
  const fs::path beside = base_ / name;
  std::error_code error;
  if (root_.empty() || fs::exists(beside, error)) return beside;
  if (fs::exists(root_ / name, error)) return root_ / name;
  if (name.is_absolute()) reader.at(key).fail("no file " + in_quotes(name.string()));
  reader.at(key).fail("no file " + in_quotes(name.string()) + " in " + in_quotes((base_.empty() ? fs::current_path(error) : fs::absolute(base_, error)).lexically_normal().string()) + ", nor in the data folder " +
                      in_quotes(root_.string()) + "; a result names a file that lies outside its data folder by its name alone: put it beside the scenario");
}

}  // namespace moeplan
