// The clock and the pending events of one run: what happens next in the simulated cluster. An event says what kind of thing happens to which
// target; what that means is the caller's affair (serving), so this floor knows no request and no replica. One queue per run, no threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/units.hpp"

namespace moeplan {

/// Order within one instant: a decision sees every completion and every arrival of its instant.
enum class EventPhase : std::uint8_t { kComplete, kArrive, kDecide };

/// Names one scheduled event until it fires or is cancelled; stale keys are recognised as such.
struct EventKey {
  std::uint32_t slot = 0xFFFFFFFFU;
  std::uint32_t generation = 0;
  bool operator==(const EventKey&) const = default;
};

struct Event {
  SimTime time{};
  EventPhase phase = EventPhase::kComplete;
  std::uint32_t kind = 0;    ///< the caller's enumeration
  std::uint64_t target = 0;  ///< an index of the caller: replica, request, flow, ...
};

/// Pending events in the order (time, phase, serial), the serial being the order of scheduling. A 4-ary heap whose nodes know their slots, so
/// that cancelling removes at once and no tombstones pile up. Allocates only when more events are pending than ever before.
class EventQueue {
 public:
  /// Room for `count` pending events without another allocation.
  void reserve(std::size_t count);

  /// Schedules an event. REQUIRES: time >= now() and time < kNever.
  EventKey schedule(SimTime time, EventPhase phase, std::uint32_t kind, std::uint64_t target);

  /// Removes a pending event. False when it has fired or was cancelled before.
  bool cancel(EventKey key);
  [[nodiscard]] bool pending(EventKey key) const;

  /// Takes the next event and moves the clock to its time. REQUIRES: !empty().
  Event pop();

  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] std::size_t size() const { return heap_.size(); }
  /// Time of the next event; kNever without one.
  [[nodiscard]] SimTime next_time() const { return heap_.empty() ? kNever : SimTime(heap_.front().time); }
  /// Time of the event popped last; 0 before the first.
  [[nodiscard]] SimTime now() const { return now_; }

 private:
  struct Node {
    std::int64_t time;
    std::uint64_t order;  // phase in the two highest bits, serial below
    std::uint32_t slot;
    [[nodiscard]] bool before(const Node& other) const { return time != other.time ? time < other.time : order < other.order; }
  };
  struct Slot {
    std::uint64_t target;
    std::uint32_t kind;
    std::uint32_t generation;  // odd while pending
    std::size_t position;      // in the heap
  };

  std::uint32_t take_slot();
  void release_slot(std::uint32_t slot);
  void put(std::size_t position, const Node& node);
  void sift_up(std::size_t position, const Node& node);
  void sift_down(std::size_t position, const Node& node);
  void remove_at(std::size_t position);

  std::vector<Node> heap_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::uint64_t next_serial_ = 0;
  SimTime now_{0};
};

}  // namespace moeplan
