// A result file that is either whole or not there: written beside its target and renamed on commit. A target that is not a regular file
// (/dev/null, a pipe) cannot be renamed over and is written in place. Leaves out fsync: results can be made again.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace moeplan {

class AtomicFile {
 public:
  /// Starts a file that will stand at `target`. Throws InputError("<target>: cannot be written: <reason>").
  explicit AtomicFile(std::filesystem::path target);
  /// Without a commit before, the target is left as it was.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends `text`. Throws InputError when the disk is full or a like failure shows.
  void write(std::string_view text);
  /// Makes the target show what was written. Nothing may be written after it.
  void commit();

 private:
  void open_in_place();
  void open_beside();
  void flush();
  [[noreturn]] void fail(int error) const;

  std::filesystem::path target_;     // as the user named it
  std::filesystem::path resolved_;   // behind symbolic links
  std::string temporary_;            // "" when written in place
  std::string buffer_;
  int descriptor_ = -1;
};

/// Writes `content` to `target` as a whole.
void write_file(const std::filesystem::path& target, std::string_view content);

}  // namespace moeplan
