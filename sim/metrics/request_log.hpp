// The finished requests of a run as CSV, streamed: one row a request, in order of id, all times in seconds to the nanosecond.
//
// Rows wait until every earlier request has ended; so the file does not depend on the order in which replicas report, and memory grows
// with the requests in flight only. Rejected requests have no row.
#pragma once

#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/atomic_file.hpp"
#include "serving/observer.hpp"

namespace moeplan {

class RequestLog final : public Observer {
 public:
  /// Columns: id, class, arrival_s, scheduled_s, first_token_s, last_token_s, prompt_tokens, output_tokens, replica, preemptions.
  /// `classes`: names by class_id. Throws InputError when `file` cannot be written.
  RequestLog(const std::filesystem::path& file, std::vector<std::string> classes);

  void on_finished(const FinishedRequest& request) override;
  void on_rejected(const RequestSpec& spec, RejectReason reason, SimTime at) override;
  /// Writes what waits and puts the file in place.
  void on_end(SimTime now) override;

 private:
  struct Slot {
    bool ended = false;
    std::optional<FinishedRequest> finished;
  };
  Slot& slot(std::uint64_t id);
  void write_ended(bool all);
  void append(const FinishedRequest& request);

  AtomicFile file_;
  std::vector<std::string> classes_;  ///< quoted where CSV asks for it
  std::deque<Slot> waiting_;          ///< from id `next_` on
  std::uint64_t next_ = 0;
  std::string buffer_;
};

}  // namespace moeplan
