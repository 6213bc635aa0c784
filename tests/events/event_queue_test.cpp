#include "events/event_queue.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <new>
#include <tuple>

#include "base/error.hpp"
#include "base/random.hpp"

using namespace moeplan;

namespace {
std::size_t allocations = 0;
}

// Counts what the queue allocates; malloc keeps the sanitizers' view of memory.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST_CASE("events fire by time, then phase, then order of scheduling") {
  EventQueue queue;
  queue.schedule(SimTime(20), EventPhase::kComplete, 0, 1);
  queue.schedule(SimTime(10), EventPhase::kDecide, 0, 2);
  queue.schedule(SimTime(10), EventPhase::kArrive, 0, 3);
  queue.schedule(SimTime(10), EventPhase::kArrive, 0, 4);
  queue.schedule(SimTime(10), EventPhase::kComplete, 0, 5);
  std::vector<std::uint64_t> order;
  while (!queue.empty()) order.push_back(queue.pop().target);
  CHECK(order == std::vector<std::uint64_t>{5, 3, 4, 2, 1});
}

TEST_CASE("an event brings its payload and moves the clock to its time") {
  EventQueue queue;
  CHECK(queue.now() == SimTime(0));
  CHECK(queue.next_time() == kNever);
  queue.schedule(SimTime(7), EventPhase::kArrive, 3, 0xFFFFFFFFFFULL);
  CHECK(queue.next_time() == SimTime(7));
  const Event event = queue.pop();
  CHECK(event.time == SimTime(7));
  CHECK(event.phase == EventPhase::kArrive);
  CHECK(event.kind == 3);
  CHECK(event.target == 0xFFFFFFFFFFULL);
  CHECK(queue.now() == SimTime(7));
  CHECK(queue.empty());
}

TEST_CASE("an event scheduled for the present instant fires in it, even in an earlier phase") {
  EventQueue queue;
  queue.schedule(SimTime(5), EventPhase::kDecide, 0, 1);
  queue.schedule(SimTime(6), EventPhase::kComplete, 0, 3);
  queue.pop();
  queue.schedule(SimTime(5), EventPhase::kComplete, 0, 2);
  CHECK(queue.pop().target == 2);
  CHECK(queue.now() == SimTime(5));
}

TEST_CASE("the past and never cannot be scheduled, and an empty queue cannot be popped") {
  EventQueue queue;
  CHECK_THROWS_AS(queue.pop(), InternalError);
  queue.schedule(SimTime(5), EventPhase::kComplete, 0, 0);
  queue.pop();
  CHECK_THROWS_AS(queue.schedule(SimTime(4), EventPhase::kComplete, 0, 0), InternalError);
  CHECK_THROWS_AS(queue.schedule(kNever, EventPhase::kComplete, 0, 0), InternalError);
  CHECK(queue.empty());
}

TEST_CASE("a cancelled event does not fire, and keys of past events cancel nothing") {
  EventQueue queue;
  const EventKey first = queue.schedule(SimTime(1), EventPhase::kComplete, 0, 1);
  const EventKey second = queue.schedule(SimTime(2), EventPhase::kComplete, 0, 2);
  CHECK(queue.pending(first));
  CHECK(queue.cancel(first));
  CHECK_FALSE(queue.pending(first));
  CHECK_FALSE(queue.cancel(first));
  // The new event takes over the slot of the cancelled one; the old key must not reach it.
  const EventKey third = queue.schedule(SimTime(3), EventPhase::kComplete, 0, 3);
  CHECK_FALSE(queue.cancel(first));
  CHECK(queue.pop().target == 2);
  CHECK_FALSE(queue.cancel(second));
  CHECK_FALSE(queue.cancel(EventKey{}));
  CHECK(queue.pending(third));
  CHECK(queue.pop().target == 3);
  CHECK(queue.empty());
}

TEST_CASE("a hundred thousand random schedules, cancels and pops agree with a sorted map") {
  EventQueue queue;
  RandomStream random(1, "test/events");
  using Order = std::tuple<std::int64_t, int, std::uint64_t>;  // time, phase, serial
  std::map<Order, EventKey> model;
  std::uint64_t serial = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint32_t dice = random.below(10);
    if (dice < 5 || model.empty()) {
      const SimTime time = queue.now() + SimTime(random.below(50));
      const auto phase = static_cast<EventPhase>(random.below(3));
      const EventKey key = queue.schedule(time, phase, 0, serial);
      model.emplace(Order{time.count(), static_cast<int>(phase), serial++}, key);
    } else if (dice < 7) {
      auto victim = model.begin();
      std::advance(victim, random.below(static_cast<std::uint32_t>(std::min<std::size_t>(model.size(), 20))));
      REQUIRE(queue.cancel(victim->second));
      model.erase(victim);
    } else {
      const Event event = queue.pop();
      REQUIRE(Order{event.time.count(), static_cast<int>(event.phase), event.target} == model.begin()->first);
      model.erase(model.begin());
    }
    REQUIRE(queue.size() == model.size());
    REQUIRE(queue.next_time() == (model.empty() ? kNever : SimTime(std::get<0>(model.begin()->first))));
  }
}

TEST_CASE("nothing is allocated once the most events that were ever pending fit") {
  EventQueue queue;
  RandomStream random(1, "test/steady");
  for (int i = 0; i < 1000; ++i) queue.schedule(SimTime(random.below(1000)), EventPhase::kArrive, 0, 0);
  const std::size_t before = allocations;
  for (int i = 0; i < 50'000; ++i) {
    const SimTime now = queue.pop().time;
    const EventKey key = queue.schedule(now + SimTime(random.below(1000)), EventPhase::kArrive, 0, 0);
    if (i % 3 == 0) {
      queue.cancel(key);
      queue.schedule(now, EventPhase::kDecide, 0, 0);
    }
  }
  CHECK(allocations == before);
  CHECK(queue.size() == 1000);

  EventQueue reserved;
  reserved.reserve(100);
  const std::size_t after_reserve = allocations;
  for (int i = 0; i < 100; ++i) reserved.schedule(SimTime(i), EventPhase::kArrive, 0, 0);
  CHECK(allocations == after_reserve);
}
