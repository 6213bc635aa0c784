// Makes the request source a workload asks for. Named random streams: "arrivals", "classes", and per class "prompt_tokens/NAME" and
// "output_tokens/NAME", so that a change of one leaves the draws of the others alone.
#pragma once

#include <cstdint>
#include <memory>

#include "workload/request_source.hpp"
#include "workload/workload_config.hpp"

namespace moeplan {

/// - poisson, gamma: a renewal process; with hourly factors its time is warped, which for Poisson gives exactly the inhomogeneous process
///   (Cinlar 1975, inversion of the cumulative rate).
/// - markov_modulated: Poisson within states that follow each other; hourly factors warp its time.
/// - closed: `concurrency` requests at time 0, then one more `turnaround` after each completion; who is turned away comes again.
/// - batch: all at time 0.
/// - trace: the file's rows, one in memory at a time; repeated with its span plus one mean gap as the period, so that the rate is kept.
/// - classes with arrivals of their own are merged by time; a session's next turn comes a think time after the answer.
/// The config is resolved first if it has not been. Throws InputError.
std::unique_ptr<RequestSource> make_request_source(const WorkloadConfig& config, std::uint64_t seed);

/// Counts what a source issues and how many completions it was told, for the conservation law: nothing downstream can forge these counts.
class CountingSource final : public RequestSource {
 public:
  explicit CountingSource(RequestSource& inner) : inner_(inner) {}
  std::optional<RequestSpec> next() override {
    auto spec = inner_.next();
    if (spec) ++issued_;
    return spec;
  }
  void on_finished(std::uint64_t id, SimTime now) override { inner_.on_finished(id, now); }
  void on_arrived(std::uint64_t id) override { inner_.on_arrived(id); }
  [[nodiscard]] bool closed() const override { return inner_.closed(); }
  [[nodiscard]] SimTime turnaround() const override { return inner_.turnaround(); }
  [[nodiscard]] SimTime retry_after(const RequestSpec& spec) const override { return inner_.retry_after(spec); }
  [[nodiscard]] std::uint64_t total() const override { return inner_.total(); }
  [[nodiscard]] std::uint64_t issued() const { return issued_; }

 private:
  RequestSource& inner_;
  std::uint64_t issued_ = 0;
};

}  // namespace moeplan
