// What a plan search has finished, on disk: one line a result, written and synced before the search goes on, so that neither kill -9 nor a power cut
// loses more than what was being computed. Every process of a search writes a file of its own into one folder and reads all of them at its start.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "study/uncertainty.hpp"

namespace moeplan {

class PlanJournal final : public SampleStore {
 public:
  /// Opens or starts the journal in `folder`. `inputs`: hash of what the results rest on; `writer` tells processes apart. A line cut short by a crash is
  /// dropped. Throws InputError: the folder cannot be written, is in use by another process, or holds a search of other inputs.
  PlanJournal(const std::filesystem::path& folder, const std::string& inputs, int writer);
  ~PlanJournal() override;
  PlanJournal(const PlanJournal&) = delete;
  PlanJournal& operator=(const PlanJournal&) = delete;

  /// The result stored under `key`, by any process before this one opened the journal.
  [[nodiscard]] std::optional<std::string> find(const std::string& key) const override;
  /// Stores a result; when this returns, it is on disk. Any thread. Throws InputError when the disk is full.
  void append(const std::string& key, const std::string& result) override;

 private:
  void read(const std::filesystem::path& file, bool own);
  void write_line(const std::string& line);

  std::filesystem::path folder_;
  std::filesystem::path own_;
  std::string inputs_;
  int descriptor_ = -1;
  std::mutex mutex_;
  std::map<std::string, std::string> results_;
};

}  // namespace moeplan
