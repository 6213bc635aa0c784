// What became of the requests. Arrivals are counted where they are made (CountingSource), outcomes here: a request lost in between shows.
#pragma once

#include <array>
#include <cstdint>

#include "base/error.hpp"
#include "serving/observer.hpp"

namespace moeplan {

struct RequestCounts {
  std::uint64_t arrived = 0;  ///< issued by the source
  std::uint64_t completed = 0;
  std::array<std::uint64_t, 3> rejected_by{};  ///< by RejectReason
  std::int64_t rejected_prompt_tokens = 0;
  std::int64_t rejected_output_tokens = 0;     ///< that they would have generated
  std::uint64_t preempted = 0;                 ///< preemptions; a request preempted twice counts twice
  std::uint64_t failed = 0;                    ///< lost with their replica, out of retries
  std::uint64_t retries = 0;
  std::uint64_t turned_away = 0;               ///< attempts that found a full queue and came again
  std::uint64_t in_flight = 0;                 ///< arrived and neither completed nor rejected nor failed

  [[nodiscard]] std::uint64_t rejected() const { return rejected_by[0] + rejected_by[1] + rejected_by[2]; }
};

class RequestCounter final : public Observer {
 public:
  void on_rejected(const RequestSpec& spec, RejectReason reason, SimTime /*at*/) override {
    ++counts_.rejected_by.at(static_cast<std::size_t>(reason));
    counts_.rejected_prompt_tokens += spec.prompt_tokens;
    counts_.rejected_output_tokens += spec.output_tokens;
  }
  void on_turned_away(const RequestSpec& /*spec*/, SimTime /*at*/) override { ++counts_.turned_away; }
  void on_preempted(std::uint64_t /*id*/, std::int32_t /*replica*/, SimTime /*at*/) override { ++counts_.preempted; }
  void on_finished(const FinishedRequest& /*request*/) override { ++counts_.completed; }
  void on_lost(const LostRequest& lost, SimTime /*at*/) override { counts_.retries += lost.retried ? 1 : 0; }
  void on_failed(const RequestSpec& /*spec*/, SimTime /*at*/) override { ++counts_.failed; }

  /// `issued`: CountingSource::issued(). Throws InternalError when more requests ended than were issued.
  [[nodiscard]] RequestCounts counts(std::uint64_t issued) const {
    RequestCounts result = counts_;
    result.arrived = issued;
    MOEPLAN_CHECK(result.completed + result.rejected() + result.failed <= issued);
    result.in_flight = issued - result.completed - result.rejected() - result.failed;
    return result;
  }

 private:
  RequestCounts counts_;
};

}  // namespace moeplan
