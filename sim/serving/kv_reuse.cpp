#include "serving/kv_reuse.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

KvReuseReport& KvReuseReport::operator+=(const KvReuseReport& other) {
  prompt_tokens += other.prompt_tokens;
  hit_tokens += other.hit_tokens;
  requests += other.requests;
  requests_hit += other.requests_hit;
  again_tokens += other.again_tokens;
  again_hit_tokens += other.again_hit_tokens;
  fetched_host += other.fetched_host;
  fetched_nvme += other.fetched_nvme;
  fetch_wait += other.fetch_wait;
  blocks += other.blocks;
  for (std::size_t i = 0; i < at_end.size(); ++i) at_end[i] += other.at_end[i];
  return *this;
}

KvReuse::KvReuse(const KvReuseConfig& config, KvCache& kv)
    : config_(config),
      kv_(kv),
      block_(kv.layout().block.value()),
      cache_(kv.layout().block_tokens, {0, config.host.value() / block_, config.nvme.value() / block_}) {
  MOEPLAN_CHECK(block_ > 0 && kv.layout().window_blocks == KvLayout::kNoWindow && kv.layout().sequence_state.value() == 0);
}

// Both ways are linear in the number of blocks: which is faster does not depend on it.
bool KvReuse::fetches(int tier) const {
  if (config_.reload != KvReload::kFaster) return config_.reload == KvReload::kAlways;
  const BytesPerSecond rate = tier == 1 ? config_.host_rate : config_.nvme_rate;
  return static_cast<double>(block_) <= rate.value() * config_.compute_per_token.value() * block_tokens();
}

KvReuse::Found KvReuse::find(const RequestSpec& spec, std::int32_t tokens) const {
  const PrefixCache::Match match = look(spec, tokens);
  Found found;
  std::int32_t blocks = match.blocks[0];
  for (int tier = 1; tier < kKvTiers; ++tier) {  // tiers only get lower along a prompt
    const std::int32_t below = match.blocks[static_cast<std::size_t>(tier)];
    if (below == 0) continue;
    if (!fetches(tier)) break;
    blocks += below;
    found.deepest = tier;
  }
  found.tokens = blocks * block_tokens();
  found.shared = Bytes(block_) * match.locked;
  return found;
}

PrefixCache::Path KvReuse::take(const RequestSpec& spec, const Found& found, SimTime now, bool again, std::int32_t tokens) {
  const PrefixCache::Counts before = cache_.counts();
  const PrefixCache::Path path = cache_.acquire(spec, found.tokens / block_tokens(), found.deepest);
  MOEPLAN_CHECK(path.blocks * block_tokens() == found.tokens);
  MOEPLAN_CHECK(found.shared.value() == block_ * (path.blocks - path.woken));
  make_room();
  if (found.deepest > 0) {
    const Bytes host = Bytes(block_) * (cache_.counts().fetched_host - before.fetched_host);
    const Bytes nvme = Bytes(block_) * (cache_.counts().fetched_nvme - before.fetched_nvme);
    Seconds time{0};
    if (host.value() > 0) time += host / config_.host_rate;
    if (nvme.value() > 0) time += nvme / config_.nvme_rate;
    fetched_at_ = std::max(fetched_at_, now) + to_sim_time(time);
    report_.fetched_host += host;
    report_.fetched_nvme += nvme;
  }
  if (again) {
    report_.again_tokens += tokens;
    report_.again_hit_tokens += found.tokens;
  } else {
    report_.prompt_tokens += tokens;
    report_.hit_tokens += found.tokens;
    ++report_.requests;
    report_.requests_hit += found.tokens > 0 ? 1 : 0;
  }
  return path;
}

void KvReuse::computed(const RequestSpec& spec, PrefixCache::Path& path, std::int64_t tokens) {
  const std::int32_t freed = cache_.extend(spec, path, static_cast<std::int32_t>(tokens / block_tokens()));
  if (freed > 0) kv_.merge(Bytes(block_) * freed);
}

void KvReuse::leave(PrefixCache::Path& path, std::int64_t held, std::int64_t final_tokens) {
  kv_.release(held, final_tokens, Bytes(block_) * path.blocks);
  const std::int32_t idle = cache_.release(path);
  kv_.merge(Bytes(block_) * idle);
  path = PrefixCache::Path{};
}

KvReuseReport KvReuse::report() const {
  KvReuseReport report = report_;
  report.blocks = cache_.counts();
  report.at_end = {cache_.idle(0) + cache_.locked(), cache_.idle(1), cache_.idle(2)};
  return report;
}

}  // namespace moeplan
