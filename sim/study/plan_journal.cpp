#include "study/plan_journal.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.hpp"
#include "input/json_document.hpp"

namespace moeplan {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr const char* kFormat = "moeplan plan journal 3";

[[noreturn]] void fail(const fs::path& file, int error) { throw InputError(file.string(), std::string("cannot be written: ") + std::strerror(error)); }

/// A new name in a folder survives a crash only once the folder is on disk, too.
void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace

PlanJournal::PlanJournal(const fs::path& folder, const std::string& inputs, int writer)
    : folder_(folder), own_(folder / fmt::format("finished-{}.jsonl", writer)), inputs_(inputs) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) fail(folder_, error.value());
  descriptor_ = ::open(own_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail(own_, errno);
  try {
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) throw InputError(folder_.string(), "is in use by another search");
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) read(file, file == own_);
    if (::lseek(descriptor_, 0, SEEK_END) == 0) {
      write_line(json({{"format", kFormat}, {"inputs", inputs_}}).dump());
      sync_folder(folder_);
    }
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

PlanJournal::~PlanJournal() { ::close(descriptor_); }

void PlanJournal::read(const fs::path& file, bool own) {
  const std::string text = read_file(file);
  std::size_t start = 0;
  bool header = true;
  for (std::size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1) {
    const json line = json::parse(text.begin() + static_cast<long>(start), text.begin() + static_cast<long>(end), nullptr, false);
    if (header) {
      if (!line.is_object() || line.value("format", "") != kFormat) throw InputError(file.string(), "is no journal of a plan search");
      if (line.value("inputs", "") != inputs_) {
        throw InputError(folder_.string(), "holds another search: the scenario, its data or moeplan have changed since; name another folder or remove it");
      }
      header = false;
    } else if (line.is_object() && line.contains("key") && line.contains("result")) {
      results_[line["key"].get<std::string>()] = line["result"].get<std::string>();
    }
  }
  if (own && start < text.size() && ::ftruncate(descriptor_, static_cast<off_t>(start)) != 0) fail(file, errno);
}

std::optional<std::string> PlanJournal::find(const std::string& key) const {
  const auto found = results_.find(key);
  return found == results_.end() ? std::nullopt : std::optional(found->second);
}

void PlanJournal::append(const std::string& key, const std::string& result) {
  const std::string line = json({{"key", key}, {"result", result}}).dump();
  const std::lock_guard lock(mutex_);
  write_line(line);
}

void PlanJournal::write_line(const std::string& line) {
  const std::string text = line + "\n";
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(descriptor_, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(own_, errno);
    done += static_cast<std::size_t>(written);
  }
  if (::fsync(descriptor_) != 0) fail(own_, errno);
}

}  // namespace moeplan
