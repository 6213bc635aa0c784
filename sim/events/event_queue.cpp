#include "events/event_queue.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {
namespace {

constexpr std::size_t kArity = 4;
constexpr unsigned kPhaseShift = 62;

}  // namespace

void EventQueue::reserve(std::size_t count) {
  heap_.reserve(count);
  slots_.reserve(count);
  free_slots_.reserve(count);
}

EventKey EventQueue::schedule(SimTime time, EventPhase phase, std::uint32_t kind, std::uint64_t target) {
  MOEPLAN_CHECK(time >= now_);
  MOEPLAN_CHECK(time < kNever);
  const std::uint32_t slot = take_slot();
  slots_[slot].kind = kind;
  slots_[slot].target = target;
  const std::uint64_t order = (static_cast<std::uint64_t>(phase) << kPhaseShift) | next_serial_++;
  heap_.emplace_back();
  sift_up(heap_.size() - 1, {time.count(), order, slot});
  return {slot, slots_[slot].generation};
}

bool EventQueue::pending(EventKey key) const {
  return key.slot < slots_.size() && slots_[key.slot].generation == key.generation && key.generation % 2 == 1;
}

bool EventQueue::cancel(EventKey key) {
  if (!pending(key)) return false;
  remove_at(slots_[key.slot].position);
  release_slot(key.slot);
  return true;
}

Event EventQueue::pop() {
  MOEPLAN_CHECK(!heap_.empty());
  const Node node = heap_.front();
  remove_at(0);
  now_ = SimTime(node.time);
  const Slot& slot = slots_[node.slot];
  const Event event{now_, static_cast<EventPhase>(node.order >> kPhaseShift), slot.kind, slot.target};
  release_slot(node.slot);
  return event;
}

std::uint32_t EventQueue::take_slot() {
  if (free_slots_.empty()) {
    slots_.push_back({});
    // So that giving slots back later never allocates.
    free_slots_.reserve(slots_.capacity());
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
  }
  const std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  ++slots_[slot].generation;
  return slot;
}

void EventQueue::release_slot(std::uint32_t slot) {
  ++slots_[slot].generation;
  free_slots_.push_back(slot);
}

void EventQueue::put(std::size_t position, const Node& node) {
  heap_[position] = node;
  slots_[node.slot].position = position;
}

void EventQueue::sift_up(std::size_t position, const Node& node) {
  while (position > 0) {
    const std::size_t parent = (position - 1) / kArity;
    if (!node.before(heap_[parent])) break;
    put(position, heap_[parent]);
    position = parent;
  }
  put(position, node);
}

void EventQueue::sift_down(std::size_t position, const Node& node) {
  for (;;) {
    const std::size_t first = position * kArity + 1;
    if (first >= heap_.size()) break;
    const std::size_t last = std::min(first + kArity, heap_.size());
    std::size_t least = first;
    for (std::size_t child = first + 1; child < last; ++child) {
      if (heap_[child].before(heap_[least])) least = child;
    }
    if (!heap_[least].before(node)) break;
    put(position, heap_[least]);
    position = least;
  }
  put(position, node);
}

void EventQueue::remove_at(std::size_t position) {
  const Node last = heap_.back();
  heap_.pop_back();
  if (position == heap_.size()) return;
  if (position > 0 && last.before(heap_[(position - 1) / kArity])) {
    sift_up(position, last);
  } else {
    sift_down(position, last);
  }
}

}  // namespace moeplan
