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
  written_host += other.written_host;
  written_nvme += other.written_nvme;
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

// A fetch comes after what the link has still to fetch and to write.
bool KvReuse::fetches(int tier, std::int32_t blocks, SimTime now) const {
  if (config_.reload != KvReload::kFaster) return config_.reload == KvReload::kAlways;
  const SimTime free = std::max(link_free_[static_cast<std::size_t>(tier)], fetched_at_);
  const double wait = free > now ? to_seconds(free - now).value() : 0;
  const double per_block = static_cast<double>(block_) / rate(tier).value();
  return wait + blocks * per_block <= blocks * config_.compute_per_token.value() * block_tokens();
}

KvReuse::Found KvReuse::find(const RequestSpec& spec, std::int32_t tokens, SimTime now) const {
  const PrefixCache::Match match = look(spec, tokens);
  Found found;
  std::int32_t blocks = match.blocks[0];
  for (int tier = 1; tier < kKvTiers; ++tier) {  // tiers only get lower along a prompt
    const std::int32_t below = match.blocks[static_cast<std::size_t>(tier)];
    if (below == 0) continue;
    if (!fetches(tier, below, now)) break;
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
  make_room(now);
  if (found.deepest > 0) {
    const Bytes host = Bytes(block_) * (cache_.counts().fetched_host - before.fetched_host);
    const Bytes nvme = Bytes(block_) * (cache_.counts().fetched_nvme - before.fetched_nvme);
    fetched_at_ = fetch(2, nvme, fetch(1, host, std::max(fetched_at_, now)));
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

// Beside the steps, in the order in which they moved.
void KvReuse::write_back(SimTime now) {
  const TierBlocks& down = cache_.counts().moved_down;
  for (std::size_t tier = 1; tier < kKvTiers; ++tier) {
    const Bytes bytes = Bytes(block_) * (down[tier] - written_[tier]);
    if (bytes.value() == 0) continue;
    link_free_[tier] = std::max(link_free_[tier], now) + to_sim_time(bytes / rate(static_cast<int>(tier)));
    written_[tier] = down[tier];
  }
}

/// When `bytes` of a tier are there that are asked for at `from`.
SimTime KvReuse::fetch(int tier, Bytes bytes, SimTime from) {
  if (bytes.value() == 0) return from;
  SimTime& free = link_free_[static_cast<std::size_t>(tier)];
  return free = std::max(free, from) + to_sim_time(bytes / rate(tier));
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
  report.written_host = Bytes(block_) * report.blocks.moved_down[1];
  report.written_nvme = Bytes(block_) * report.blocks.moved_down[2];
  report.at_end = {cache_.idle(0) + cache_.locked(), cache_.idle(1), cache_.idle(2)};
  return report;
}

}  // namespace moeplan
