// The radix tree of KV blocks alone: blocks of 4 tokens, worked by hand.
#include "serving/prefix_cache.hpp"

#include <doctest/doctest.h>

#include "base/random.hpp"

using namespace moeplan;

namespace {

RequestSpec of_session(std::uint64_t id, std::int64_t session, std::int64_t prefix = -1, std::int32_t prefix_tokens = 0) {
  RequestSpec spec;
  spec.id = id;
  spec.session_id = session;
  spec.prefix_id = prefix;
  spec.prefix_tokens = prefix_tokens;
  return spec;
}

/// A request that computes `blocks` blocks and ends.
void pass(PrefixCache& cache, const RequestSpec& spec, std::int32_t blocks) {
  PrefixCache::Path path = cache.acquire(spec, blocks, 0);
  cache.extend(spec, path, blocks);
  cache.release(path);
}

std::int32_t found(const PrefixCache& cache, const RequestSpec& spec, int tier = 0) {
  return cache.match(spec, 1000).blocks[static_cast<std::size_t>(tier)];
}

}  // namespace

TEST_CASE("a later turn of a conversation finds all blocks of the turns before, another conversation only the shared prefix") {
  PrefixCache cache(4);
  // 10 prefix tokens: two whole blocks; the third belongs to the conversation.
  pass(cache, of_session(0, 7, 1, 10), 5);
  CHECK(found(cache, of_session(1, 7, 1, 10)) == 5);
  CHECK(found(cache, of_session(2, 8, 1, 10)) == 2);
  CHECK(found(cache, of_session(3, 7, 2, 10)) == 0);
  CHECK(cache.match(of_session(1, 7, 1, 10), 4).blocks[0] == 4);
  CHECK(cache.idle() == 5);
}

TEST_CASE("a request without prefix or conversation finds only its own blocks") {
  PrefixCache cache(4);
  RequestSpec lonely;
  lonely.id = 3;
  pass(cache, lonely, 6);
  CHECK(found(cache, lonely) == 6);
  lonely.id = 4;
  CHECK(found(cache, lonely) == 0);
}

TEST_CASE("blocks are overwritten least recently given back first, those of one sequence from its end, never locked ones") {
  PrefixCache cache(4);
  pass(cache, of_session(0, 1), 3);
  pass(cache, of_session(1, 2), 4);
  pass(cache, of_session(2, 1), 3);  // used again
  cache.trim(5);
  CHECK(found(cache, of_session(9, 1)) == 3);
  CHECK(found(cache, of_session(9, 2)) == 2);
  const PrefixCache::Path path = cache.acquire(of_session(9, 2), 1, 0);
  CHECK(path.woken == 1);
  cache.trim(0);
  CHECK(found(cache, of_session(9, 1)) == 0);
  CHECK(found(cache, of_session(9, 2)) == 1);
  CHECK(cache.release(path) == 1);
  CHECK(cache.counts().dropped[0] == 6);
  CHECK(cache.census()[0] == 1);
}

TEST_CASE("two that compute the same blocks at once keep one copy") {
  PrefixCache cache(4);
  const RequestSpec a = of_session(0, -1, 1, 20);
  const RequestSpec b = of_session(1, -1, 1, 20);
  PrefixCache::Path one = cache.acquire(a, 7, 0);
  PrefixCache::Path two = cache.acquire(b, 7, 0);
  CHECK(cache.extend(a, one, 5) == 0);
  CHECK(cache.extend(b, two, 5) == 5);  // all of b's are spare
  CHECK(cache.extend(a, one, 7) == 0);
  CHECK(cache.extend(b, two, 7) == 0);  // their own tokens differ
  CHECK(cache.locked() == 9);
  CHECK(cache.release(one) == 2);
  CHECK(cache.release(two) == 7);
  CHECK(cache.census()[0] == 9);
}

TEST_CASE("recorded blocks of a trace are shared as far as their hashes agree") {
  PrefixCache cache(4);
  const std::vector<std::uint32_t> first = {0, 1, 2};
  const std::vector<std::uint32_t> second = {0, 1, 5};
  RequestSpec a;
  a.prompt_tokens = 22;  // 8 + 8 + 6: five whole blocks, the last one half of entry 2
  a.trace_block_tokens = 8;
  a.trace_blocks = first;
  RequestSpec b = a;
  b.id = 1;
  b.trace_blocks = second;
  pass(cache, a, 6);
  CHECK(found(cache, a) == 6);
  CHECK(found(cache, b) == 4);
}

TEST_CASE("blocks move down through host memory and NVMe and come back") {
  // 4 blocks of host memory, 5 of NVMe.
  PrefixCache cache(4, {0, 4, 5});
  pass(cache, of_session(0, 1), 6);
  cache.trim(2);
  CHECK(found(cache, of_session(9, 1)) == 2);
  CHECK(found(cache, of_session(9, 1), 1) == 4);
  pass(cache, of_session(1, 2), 3);
  cache.trim(1);
  // Conversation 1's last 2 blocks go down; 4 of its own make room on NVMe... then 2 of conversation 2.
  CHECK(cache.census() == TierBlocks{1, 4, 4});
  CHECK(cache.match(of_session(9, 1), 100).blocks == std::array<std::int32_t, 3>{0, 2, 4});
  CHECK(cache.match(of_session(9, 2), 100).blocks == std::array<std::int32_t, 3>{1, 2, 0});
  PrefixCache::Path path = cache.acquire(of_session(9, 1), 6, 1);
  CHECK(path.blocks == 2);
  CHECK(path.woken == 2);
  CHECK(cache.counts().fetched_host == 2);
  cache.release(path);
  path = cache.acquire(of_session(9, 1), 6, 2);
  CHECK(path.blocks == 6);
  CHECK(cache.counts().fetched_nvme == 4);
  cache.release(path);
  CHECK(cache.census() == TierBlocks{7, 2, 0});
}

TEST_CASE("blocks are conserved over the tiers whatever happens") {
  for (const TierBlocks& lower : {TierBlocks{0, 0, 0}, TierBlocks{0, 40, 0}, TierBlocks{0, 25, 60}}) {
    PrefixCache cache(4, lower);
    RandomStream random(1, "test");
    struct Running {
      RequestSpec spec;
      PrefixCache::Path path;
    };
    std::vector<Running> running;
    for (std::uint64_t id = 0; id < 20'000; ++id) {
      if (running.size() == 6 || (!running.empty() && random.below(3) == 0)) {
        const std::size_t at = random.below(static_cast<std::uint32_t>(running.size()));
        cache.extend(running[at].spec, running[at].path, running[at].path.blocks + static_cast<std::int32_t>(random.below(6)));
        cache.release(running[at].path);
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(at));
      }
      const RequestSpec spec = of_session(id, random.below(3) == 0 ? -1 : static_cast<std::int64_t>(random.below(20)), random.below(3), 4 * random.below(6));
      const auto limit = static_cast<std::int32_t>(random.below(30));
      const int deepest = static_cast<int>(random.below(3));
      const PrefixCache::Match match = cache.match(spec, limit);
      std::int32_t expected = match.blocks[0];
      for (int tier = 1; tier <= deepest; ++tier) expected += match.blocks[static_cast<std::size_t>(tier)];
      PrefixCache::Path path = cache.acquire(spec, limit, deepest);
      REQUIRE(path.blocks == expected);
      REQUIRE(path.woken == path.blocks - match.locked);
      cache.extend(spec, path, path.blocks + static_cast<std::int32_t>(random.below(10)));
      running.push_back({spec, path});
      cache.trim(random.below(50));
      const TierBlocks now = cache.census();
      REQUIRE(now[0] == cache.idle() + cache.locked());
      REQUIRE(now[1] == cache.idle(1));
      REQUIRE(now[2] == cache.idle(2));
      REQUIRE(now[1] <= lower[1]);
      REQUIRE(now[2] <= lower[2]);
      // What was ever computed is on a tier or was dropped; what is computed again where it lay below replaces it.
      const PrefixCache::Counts& c = cache.counts();
      REQUIRE(c.inserted == now[0] + now[1] + now[2] + c.dropped[0] + c.dropped[1] + c.dropped[2]);
    }
    for (const Running& r : running) cache.release(r.path);
    CHECK(cache.locked() == 0);
    CHECK((lower[1] > 0) == (cache.counts().fetched_host > 0));
    CHECK((lower[2] > 0) == (cache.counts().fetched_nvme > 0));
  }
}
