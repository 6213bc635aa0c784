// The prefix cache of one replica over its KV blocks: what a prompt finds of earlier ones, what it costs to fetch from host memory or NVMe,
// and how cached and running blocks share the GPU. Idle cached blocks lie in free memory: they never keep a request out.
//
// Fetching streams layer by layer under the step that needs it: the step ends no earlier than the fetch. Blocks that move down are written over
// the same link, one transfer after the other: no step waits for that, but fetches asked for later do. Left out: models with windowed or
// constant-state layers, links that carry both ways at once, and copies of attention that cannot see each other's blocks.
#pragma once

#include <array>
#include <cstdint>

#include "serving/kv_cache.hpp"
#include "serving/prefix_cache.hpp"

namespace moeplan {

/// What to do with a prompt's blocks that lie below the GPU.
enum class KvReload : std::uint8_t {
  kFaster,  ///< fetch them where that takes less time than computing them, the link's other work before it included
  kAlways,
  kCompute,  ///< never fetch
};

struct KvReuseConfig {
  bool enabled = false;
  Bytes host{0}, nvme{0};        ///< room for blocks, counted like KvLayout::block
  BytesPerSecond host_rate{0};   ///< at which such blocks come back
  BytesPerSecond nvme_rate{0};
  KvReload reload = KvReload::kFaster;
  Seconds compute_per_token{0};  ///< of a long prompt, for kFaster
};

/// What the cache of one replica did, in tokens.
struct KvReuseReport {
  std::int64_t prompt_tokens = 0;  ///< of requests admitted for the first time
  std::int64_t hit_tokens = 0;     ///< of them not computed, fetched ones included
  std::int64_t requests = 0;
  std::int64_t requests_hit = 0;
  std::int64_t again_tokens = 0;      ///< to compute of preempted requests
  std::int64_t again_hit_tokens = 0;  ///< of them found
  Bytes fetched_host{0}, fetched_nvme{0};
  Bytes written_host{0}, written_nvme{0};
  Seconds fetch_wait{0};  ///< by which steps ended later
  PrefixCache::Counts blocks;
  TierBlocks at_end{};  ///< blocks per tier
  KvReuseReport& operator+=(const KvReuseReport& other);
};

class KvReuse {
 public:
  /// REQUIRES: every block of `kv` costs the same; `kv` outlives this.
  KvReuse(const KvReuseConfig& config, KvCache& kv);

  struct Found {
    std::int32_t tokens = 0;  ///< that need not be computed
    Bytes shared{0};          ///< of them counted in the KV cache already
    int deepest = 0;          ///< tier to fetch from
  };
  /// What is there of the first `tokens` tokens of `spec`, were it asked for at `now`; at least one is left to compute.
  [[nodiscard]] Found find(const RequestSpec& spec, std::int32_t tokens, SimTime now) const;
  /// Tokens of the prompt on the GPU.
  [[nodiscard]] std::int32_t on_gpu(const RequestSpec& spec) const { return block_tokens() * look(spec, spec.prompt_tokens).blocks[0]; }
  /// The sequence was admitted to the KV cache with found.shared; fetches begin at `now`.
  PrefixCache::Path take(const RequestSpec& spec, const Found& found, SimTime now, bool again, std::int32_t tokens);
  /// Its first `tokens` tokens are computed: whole blocks are there for others.
  void computed(const RequestSpec& spec, PrefixCache::Path& path, std::int64_t tokens);
  /// It leaves the KV cache, which it held with `held` tokens and was promised `final_tokens`.
  void leave(PrefixCache::Path& path, std::int64_t held, std::int64_t final_tokens);
  /// The KV cache has taken blocks by `now`: idle ones make room, over the links to the lower tiers where there are any.
  void make_room(SimTime now) {
    const std::int64_t idle = (kv_.capacity() - kv_.used()).value() / block_;
    if (cache_.idle() <= idle) return;
    cache_.trim(idle);
    write_back(now);
  }

  /// When the fetches asked for so far are done.
  [[nodiscard]] SimTime fetched_at() const { return fetched_at_; }
  void waited(SimTime time) { report_.fetch_wait += to_seconds(time); }
  [[nodiscard]] KvReuseReport report() const;
  [[nodiscard]] const PrefixCache& cache() const { return cache_; }

 private:
  [[nodiscard]] std::int32_t block_tokens() const { return cache_.block_tokens(); }
  [[nodiscard]] PrefixCache::Match look(const RequestSpec& spec, std::int32_t tokens) const { return cache_.match(spec, (tokens - 1) / block_tokens()); }
  [[nodiscard]] bool fetches(int tier, std::int32_t blocks, SimTime now) const;
  [[nodiscard]] BytesPerSecond rate(int tier) const { return tier == 1 ? config_.host_rate : config_.nvme_rate; }
  void write_back(SimTime now);
  SimTime fetch(int tier, Bytes bytes, SimTime from);

  KvReuseConfig config_;
  KvCache& kv_;
  std::int64_t block_;  ///< bytes
  PrefixCache cache_;
  SimTime fetched_at_{0};
  std::array<SimTime, kKvTiers> link_free_{};  ///< of the link to a tier: when all asked of it so far is done
  TierBlocks written_{};                       ///< blocks into a tier whose writing is in link_free_
  KvReuseReport report_;
};

}  // namespace moeplan
