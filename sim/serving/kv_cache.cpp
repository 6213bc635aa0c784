#include "serving/kv_cache.hpp"

#include "base/error.hpp"

namespace moeplan {

std::int64_t KvLayout::tokens_in(Bytes pool) const {
  const std::int64_t room = (pool - sequence_state).value();
  if (room < 0) return 0;
  if (block.value() == 0) return kNoWindow;
  const std::int64_t near = room / block.value();
  if (near < window_blocks) return near * block_tokens;
  if (block_past_window.value() == 0) return kNoWindow;
  const std::int64_t far = (room - window_blocks * block.value()) / block_past_window.value();
  return (window_blocks + far) * block_tokens;
}

KvCache::KvCache(const KvLayout& layout, Bytes capacity) : layout_(layout), capacity_(capacity) {
  MOEPLAN_CHECK(layout.block_tokens > 0);
  MOEPLAN_CHECK(layout.block >= layout.block_past_window && layout.block_past_window.value() >= 0);
  MOEPLAN_CHECK(layout.window_blocks > 0);
  MOEPLAN_CHECK(capacity.value() >= 0);
  near_.assign(static_cast<std::size_t>(layout.block_tokens), 0);
  far_ = near_;
}

void KvCache::admit(std::int64_t tokens, std::int64_t final_tokens, Bytes shared) {
  used_ += layout_.cost(tokens) - shared;
  taken_ += layout_.cost(tokens) - shared;
  promised_ += layout_.cost(final_tokens) - shared;
  MOEPLAN_CHECK(used_ <= capacity_);
}

void KvCache::release(std::int64_t tokens, std::int64_t final_tokens, Bytes kept) {
  used_ -= layout_.cost(tokens) - kept;
  promised_ -= layout_.cost(final_tokens) - kept;
  MOEPLAN_CHECK(used_.value() >= 0 && promised_ >= used_);
}

void KvCache::cross_window(std::int64_t tokens) {
  const std::size_t at = slot(tokens);
  MOEPLAN_CHECK(near_[at] > 0);
  --near_[at];
  ++far_[at];
}

void KvCache::grow() {
  taken_ += growth();
  used_ += growth();
  MOEPLAN_CHECK(used_ <= capacity_);
  if (++cursor_ == near_.size()) cursor_ = 0;
}

}  // namespace moeplan
