// One observer that passes everything on to several, in order.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "serving/observer.hpp"

namespace moeplan {

class ObserverList final : public Observer {
 public:
  /// What an observer is called for. Steps and tokens come by the million: who needs none should not pay for them. on_end comes to all.
  enum Interest : std::uint8_t { kRequests = 1, kSteps = 2, kTokens = 4, kAll = 7 };

  ObserverList() = default;
  ObserverList(std::initializer_list<Observer*> observers) {
    for (Observer* observer : observers) add(*observer);
  }
  /// `observer` must outlive the list. `interest`: sum of Interest values.
  void add(Observer& observer, int interest = kAll) {
    all_.push_back(&observer);
    if ((interest & kRequests) != 0) requests_.push_back(&observer);
    if ((interest & kSteps) != 0) steps_.push_back(&observer);
    if ((interest & kTokens) != 0) tokens_.push_back(&observer);
  }

  void on_arrival(const RequestSpec& spec) override {
    for (Observer* o : requests_) o->on_arrival(spec);
  }
  void on_rejected(const RequestSpec& spec, RejectReason reason, SimTime at) override {
    for (Observer* o : requests_) o->on_rejected(spec, reason, at);
  }
  void on_turned_away(const RequestSpec& spec, SimTime at) override {
    for (Observer* o : requests_) o->on_turned_away(spec, at);
  }
  void on_preempted(std::uint64_t id, std::int32_t replica, SimTime at) override {
    for (Observer* o : requests_) o->on_preempted(id, replica, at);
  }
  void on_finished(const FinishedRequest& request) override {
    for (Observer* o : requests_) o->on_finished(request);
  }
  void on_step(const StepRecord& step) override {
    for (Observer* o : steps_) o->on_step(step);
  }
  void on_token_gaps(SimTime at, SimTime gap, std::int64_t tokens) override {
    for (Observer* o : tokens_) o->on_token_gaps(at, gap, tokens);
  }
  void on_kv_transfer(const KvTransferRecord& record) override {
    for (Observer* o : requests_) o->on_kv_transfer(record);
  }
  void on_replica_phase(const ReplicaPhaseRecord& record) override {
    for (Observer* o : all_) o->on_replica_phase(record);
  }
  void on_lost(const LostRequest& lost, SimTime at) override {
    for (Observer* o : requests_) o->on_lost(lost, at);
  }
  void on_failed(const RequestSpec& spec, SimTime at) override {
    for (Observer* o : requests_) o->on_failed(spec, at);
  }
  void on_fleet_end(const FleetReport& report) override {
    for (Observer* o : all_) o->on_fleet_end(report);
  }
  void on_replica_end(const ReplicaReport& report) override {
    for (Observer* o : all_) o->on_replica_end(report);
  }
  void on_end(SimTime now) override {
    for (Observer* o : all_) o->on_end(now);
  }

 private:
  std::vector<Observer*> all_;
  std::vector<Observer*> requests_;
  std::vector<Observer*> steps_;
  std::vector<Observer*> tokens_;
};

}  // namespace moeplan
