#include "base/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.hpp"

namespace moeplan {
namespace {

constexpr std::size_t kBufferBytes = 1 << 16;

// Special files, also behind links: /dev/stdout may lead to a regular file, but renaming over that would cut the shell's redirection off.
bool is_special(const std::filesystem::path& target) {
  const std::string text = target.string();
  std::error_code error;
  const auto status = std::filesystem::status(target, error);
  return text.starts_with("/dev/") || text.starts_with("/proc/") || (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status));
}

// The permissions that open() would have given: asking for the umask means setting it.
mode_t default_mode() {
  const mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path target) : target_(std::move(target)) {
  if (target_.empty()) throw InputError("an empty file name cannot be written");
  std::error_code error;
  if (std::filesystem::is_directory(target_, error)) fail(EISDIR);
  if (is_special(target_)) {
    open_in_place();
  } else {
    open_beside();
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::open_in_place() {
  descriptor_ = open(target_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (descriptor_ < 0) fail(errno);
}

void AtomicFile::open_beside() {
  std::error_code error;
  resolved_ = std::filesystem::weakly_canonical(target_, error);
  if (error) resolved_ = target_;
  struct stat existing {};
  const bool exists = stat(resolved_.c_str(), &existing) == 0;
  if (exists && access(resolved_.c_str(), W_OK) != 0) fail(errno);
  std::string name = (resolved_.parent_path() / ("." + resolved_.filename().string() + ".XXXXXX")).string();
  descriptor_ = mkostemp(name.data(), O_CLOEXEC);
  if (descriptor_ < 0) fail(errno);
  temporary_ = name;
  // Best effort: a file system without permissions (a USB stick) refuses this and needs none.
  static_cast<void>(fchmod(descriptor_, exists ? (existing.st_mode & 07777U) : default_mode()));
}

void AtomicFile::write(std::string_view text) {
  MOEPLAN_CHECK(descriptor_ >= 0);
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) flush();
}

void AtomicFile::flush() {
  for (std::size_t done = 0; done < buffer_.size();) {
    const ssize_t count = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (count < 0 && errno != EINTR) fail(errno);
    if (count > 0) done += static_cast<std::size_t>(count);
  }
  buffer_.clear();
}

void AtomicFile::commit() {
  MOEPLAN_CHECK(descriptor_ >= 0);
  flush();
  const int closed = close(std::exchange(descriptor_, -1));
  if (closed != 0) fail(errno);
  if (temporary_.empty()) return;
  if (rename(temporary_.c_str(), resolved_.c_str()) != 0) fail(errno);
  temporary_.clear();
}

void AtomicFile::fail(int error) const { throw InputError(target_.string(), "cannot be written: " + std::string(std::strerror(error))); }

void write_file(const std::filesystem::path& target, std::string_view content) {
  AtomicFile file(target);
  file.write(content);
  file.commit();
}

}  // namespace moeplan
