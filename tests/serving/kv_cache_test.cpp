#include "serving/kv_cache.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"

using namespace moeplan;

namespace {

KvLayout plain(int block_tokens) { return {block_tokens, Bytes(1), Bytes(1), KvLayout::kNoWindow, Bytes(0)}; }
// 10 bytes a block within three blocks of the end, 4 past them, 7 of state.
KvLayout windowed(int block_tokens) { return {block_tokens, Bytes(10), Bytes(4), 3, Bytes(7)}; }

}  // namespace

TEST_CASE("a sequence costs whole blocks") {
  const KvLayout layout = plain(16);
  CHECK(layout.cost(0) == Bytes(0));
  CHECK(layout.cost(1) == Bytes(1));
  CHECK(layout.cost(16) == Bytes(1));
  CHECK(layout.cost(17) == Bytes(2));
}

TEST_CASE("past the window a block costs only what the other layers keep") {
  const KvLayout layout = windowed(4);
  CHECK(layout.cost(1) == Bytes(7 + 10));
  CHECK(layout.cost(12) == Bytes(7 + 3 * 10));
  CHECK(layout.cost(13) == Bytes(7 + 3 * 10 + 4));
  CHECK(layout.cost(21) == Bytes(7 + 3 * 10 + 3 * 4));
}

TEST_CASE("tokens_in is the longest sequence whose cost fits") {
  for (const KvLayout& layout : {plain(4), windowed(4), windowed(1)}) {
    for (std::int64_t pool = 1; pool < 80; ++pool) {
      const std::int64_t tokens = layout.tokens_in(Bytes(pool));
      if (tokens > 0) CHECK(layout.cost(tokens) <= Bytes(pool));
      CHECK(layout.cost(tokens + 1) > Bytes(pool));
    }
  }
  CHECK(windowed(4).tokens_in(Bytes(6)) == 0);  // not even the state
}

TEST_CASE("used bytes are the sum of the sequences' costs at every decode step") {
  for (const int block : {1, 4, 16}) {
    for (const KvLayout& layout : {plain(block), windowed(block)}) {
      KvCache cache(layout, Bytes(1'000'000));
      RandomStream random(1, "test/kv");
      std::vector<std::int64_t> held;
      for (int step = 0; step < 500; ++step) {
        if (random.below(3) == 0) {
          held.push_back(1 + random.below(60));
          cache.admit(held.back(), 1000);
          cache.start_decode(held.back());
        }
        if (!held.empty() && random.below(4) == 0) {
          const std::size_t gone = random.below(static_cast<std::uint32_t>(held.size()));
          cache.stop_decode(held[gone]);
          cache.release(held[gone], 1000);
          held.erase(held.begin() + static_cast<std::ptrdiff_t>(gone));
        }
        const Bytes before = cache.used();
        const Bytes growth = cache.growth();
        cache.grow();
        Bytes sum(0);
        for (std::int64_t& tokens : held) {
          const bool was_past = layout.past_window(tokens);
          ++tokens;
          if (layout.past_window(tokens) && !was_past) cache.cross_window(tokens);
          sum += layout.cost(tokens);
        }
        REQUIRE(cache.used() == before + growth);
        REQUIRE(cache.used() == sum);
        REQUIRE(cache.promised() == layout.cost(1000) * static_cast<std::int64_t>(held.size()));
      }
      CHECK(!held.empty());
    }
  }
}

TEST_CASE("admission keeps the reserved share of all output still to be written") {
  // 10 blocks of 4. One sequence of 8 tokens now and 24 in the end: 2 blocks, 4 to come. Another of 8 and 16: 2 blocks, 2 to come.
  KvCache cache(plain(4), Bytes(10));
  cache.admit(8, 24);
  CHECK(cache.admits(32, 40, 0.0));   // 2 + 8 = 10
  CHECK(!cache.admits(33, 40, 0.0));  // 2 + 9
  CHECK(cache.admits(8, 16, 1.0));    // 6 + 4 = 10
  CHECK(!cache.admits(8, 17, 1.0));   // 6 + 5
  CHECK(cache.admits(12, 24, 0.5));   // 2 + 3 + (4 + 3) / 2 rounded down = 8
  CHECK(!cache.admits(24, 32, 0.5));  // 2 + 6 + (4 + 2) / 2 = 11
}

TEST_CASE("taking more than there is, or giving back more than was taken, is a bug") {
  KvCache cache(plain(4), Bytes(2));
  CHECK_THROWS_AS(cache.admit(9, 9), InternalError);
  KvCache other(plain(4), Bytes(2));
  other.admit(4, 4);
  CHECK_THROWS_AS(other.release(8, 8), InternalError);
}
