// Request sources for tests: a written list, a Poisson stream, a closed loop. Each counts what it issues.
#pragma once

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "workload/request_source.hpp"

namespace moeplan::testing {

struct ListedRequest {
  SimTime arrival{0};
  int prompt = 1;
  int output = 1;
};

/// Issues the listed requests.
class ListSource final : public RequestSource {
 public:
  explicit ListSource(std::vector<ListedRequest> requests) : requests_(std::move(requests)) {}
  std::optional<RequestSpec> next() override {
    if (issued_ == requests_.size()) return std::nullopt;
    const ListedRequest& r = requests_[issued_];
    return RequestSpec{issued_++, r.arrival, r.prompt, r.output, 0};
  }
  void on_finished(std::uint64_t, SimTime) override {}
  [[nodiscard]] bool closed() const override { return false; }
  [[nodiscard]] std::uint64_t total() const override { return requests_.size(); }
  [[nodiscard]] std::uint64_t issued() const { return issued_; }

 private:
  std::vector<ListedRequest> requests_;
  std::uint64_t issued_ = 0;
};

/// Token counts uniform in [low, high].
struct LengthRange {
  int low = 1;
  int high = 1;
  int draw(RandomStream& stream) const { return low + static_cast<int>(stream.below(static_cast<std::uint32_t>(high - low + 1))); }
};

/// Poisson arrivals.
class PoissonSource final : public RequestSource {
 public:
  PoissonSource(double rate, std::uint64_t total, LengthRange prompt, LengthRange output, std::uint64_t seed)
      : rate_(rate), total_(total), prompt_(prompt), output_(output), stream_(seed, "test/poisson") {}
  std::optional<RequestSpec> next() override {
    if (issued_ == total_) return std::nullopt;
    now_ += to_sim_time(Seconds(stream_.exponential() / rate_));
    const int prompt = prompt_.draw(stream_);
    const int output = output_.draw(stream_);
    return RequestSpec{issued_++, now_, prompt, output, 0};
  }
  void on_finished(std::uint64_t, SimTime) override {}
  [[nodiscard]] bool closed() const override { return false; }
  [[nodiscard]] std::uint64_t total() const override { return total_; }
  [[nodiscard]] std::uint64_t issued() const { return issued_; }

 private:
  double rate_;
  std::uint64_t total_;
  LengthRange prompt_, output_;
  RandomStream stream_;
  SimTime now_{0};
  std::uint64_t issued_ = 0;
};

/// Keeps `concurrency` requests in flight; each completion causes the next arrival `turnaround` later.
class ClosedSource final : public RequestSource {
 public:
  ClosedSource(int concurrency, std::uint64_t total, SimTime turnaround, LengthRange prompt, LengthRange output, std::uint64_t seed)
      : total_(total), turnaround_(turnaround), prompt_(prompt), output_(output), stream_(seed, "test/closed") {
    due_.assign(static_cast<std::size_t>(concurrency), SimTime{0});
  }
  std::optional<RequestSpec> next() override {
    if (due_.empty() || issued_ == total_) return std::nullopt;
    const SimTime at = due_.front();
    due_.pop_front();
    const int prompt = prompt_.draw(stream_);
    const int output = output_.draw(stream_);
    in_flight_ = issued_ + 1 - finished_;
    most_in_flight_ = std::max(most_in_flight_, in_flight_);
    return RequestSpec{issued_++, at, prompt, output, 0};
  }
  void on_finished(std::uint64_t, SimTime now) override {
    ++finished_;
    due_.push_back(now + turnaround_);
  }
  [[nodiscard]] bool closed() const override { return true; }
  [[nodiscard]] SimTime turnaround() const override { return turnaround_; }
  void come_again_after(SimTime wait) { retry_after_ = wait; }
  [[nodiscard]] SimTime retry_after(const RequestSpec&) const override { return retry_after_; }
  [[nodiscard]] std::uint64_t total() const override { return total_; }
  [[nodiscard]] std::uint64_t issued() const { return issued_; }
  [[nodiscard]] std::uint64_t finished() const { return finished_; }
  [[nodiscard]] std::uint64_t most_in_flight() const { return most_in_flight_; }

 private:
  std::uint64_t total_;
  SimTime turnaround_;
  LengthRange prompt_, output_;
  RandomStream stream_;
  std::deque<SimTime> due_;
  SimTime retry_after_{0};
  std::uint64_t issued_ = 0, finished_ = 0, in_flight_ = 0, most_in_flight_ = 0;
};

}  // namespace moeplan::testing
