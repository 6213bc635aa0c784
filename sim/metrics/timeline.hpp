// What happened when, as Chrome trace events (JSON) that Perfetto and chrome://tracing open: steps of each replica with what they held, the
// communication inside a step, requests from arrival to their last token, KV caches handed from prefill to decode, evictions and refusals.
//
// Streamed and bounded: the first steps of every replica and the first requests are kept, the rest is counted. Communication is drawn from
// the step's beginning: it is the sum over the layers, whose single moments the step's cost does not know.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/atomic_file.hpp"
#include "serving/observer.hpp"

namespace moeplan {

class Timeline final : public Observer {
 public:
  /// Keeps requests with ids below `limit` and limit / replicas steps (at least one) of each of `replicas` replicas. `classes`: names by
  /// class_id. Throws InputError when `file` cannot be written.
  Timeline(const std::filesystem::path& file, std::int32_t replicas, std::uint64_t limit, const std::vector<std::string>& classes);

  void on_rejected(const RequestSpec& spec, RejectReason reason, SimTime at) override;
  void on_preempted(std::uint64_t id, std::int32_t replica, SimTime at) override;
  void on_finished(const FinishedRequest& request) override;
  void on_kv_transfer(const KvTransferRecord& transfer) override;
  void on_step(const StepRecord& step) override;
  /// Says how much was left out and puts the file in place.
  void on_end(SimTime now) override;

 private:
  /// Starts an event: phase, name, process, thread and time stand; the caller adds what follows and calls end().
  void begin(char phase, std::string_view name, std::int64_t process, std::int64_t thread, SimTime at);
  void end();
  void name_track(std::string_view what, std::int64_t process, std::int64_t thread, const std::string& name);
  void request_phase(std::uint64_t id, std::string_view name, SimTime from, SimTime to);
  void communication(const StepRecord& step, std::int64_t process);
  void counters(const StepRecord& step, std::int64_t process);

  AtomicFile file_;
  std::string buffer_;
  std::vector<std::string> classes_;  ///< as JSON texts
  std::uint64_t limit_;
  std::uint64_t steps_per_replica_;
  std::vector<std::uint64_t> steps_;  ///< seen, by replica
  std::uint64_t requests_ = 0, evictions_ = 0, evictions_written_ = 0, requests_written_ = 0, steps_written_ = 0;
  bool first_ = true;
};

}  // namespace moeplan
