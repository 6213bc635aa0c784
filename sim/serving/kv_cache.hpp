// The paged KV cache of one replica: how many bytes of it are taken, not what is in them. A block holds `block_tokens` tokens of one
// sequence in all layers; a sliding-window layer frees blocks that left its window, so a block past the window costs only what the other
// layers keep (as vLLM's hybrid KV cache manager does; the chunk being prefilled does not overdraw the window here).
//
// Decoding sequences are counted by (context mod block size): what a decode step needs is one look-up, never a scan. All sums are exact.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "base/units.hpp"

namespace moeplan {

/// What a sequence costs in KV-cache bytes, summed over the pool that `capacity` of KvCache describes.
struct KvLayout {
  static constexpr std::int64_t kNoWindow = std::numeric_limits<std::int64_t>::max();

  int block_tokens = 16;
  Bytes block{1};                          ///< one block in all layers
  Bytes block_past_window{1};              ///< a block further than `window_blocks` from the sequence's end; at most `block`
  std::int64_t window_blocks = kNoWindow;  ///< blocks a windowed layer keeps per sequence
  Bytes sequence_state{0};                 ///< constant state per running sequence (linear attention, Mamba)

  /// Bytes of a sequence that holds `tokens` tokens.
  [[nodiscard]] Bytes cost(std::int64_t tokens) const {
    const std::int64_t blocks = (tokens + block_tokens - 1) / block_tokens;
    const std::int64_t near = blocks < window_blocks ? blocks : window_blocks;
    return sequence_state + block * near + block_past_window * (blocks - near);
  }
  /// Whether a sequence of `tokens` has all the blocks that its windowed layers will ever need.
  [[nodiscard]] bool past_window(std::int64_t tokens) const {
    return window_blocks != kNoWindow && tokens > (window_blocks - 1) * block_tokens;
  }
  /// Most tokens that one sequence can hold in `pool` bytes; 0 when not even its state fits. Sequences without any per-token cost (constant
  /// state only) hold any number: kNoWindow.
  [[nodiscard]] std::int64_t tokens_in(Bytes pool) const;
};

class KvCache {
 public:
  /// REQUIRES: block_tokens > 0, block >= block_past_window >= 0, window_blocks > 0, capacity >= 0.
  KvCache(const KvLayout& layout, Bytes capacity);

  [[nodiscard]] const KvLayout& layout() const { return layout_; }
  [[nodiscard]] Bytes capacity() const { return capacity_; }
  [[nodiscard]] Bytes used() const { return used_; }
  /// Bytes ever taken out of the free blocks.
  [[nodiscard]] Bytes taken() const { return taken_; }
  /// What the admitted sequences will hold when each has its last token.
  [[nodiscard]] Bytes promised() const { return promised_; }

  /// Whether a sequence that holds `tokens` now and `final_tokens` at its end may enter: its prompt's blocks are free, and beyond them
  /// `reserve` times all KV that it and the admitted sequences have yet to write. 0: prompt only. 1: no sequence ever runs out. `shared`:
  /// bytes of its blocks that are counted already, because others stand on them.
  [[nodiscard]] bool admits(std::int64_t tokens, std::int64_t final_tokens, double reserve, Bytes shared = Bytes(0)) const {
    const Bytes now = layout_.cost(tokens);
    const Bytes later = (promised_ - used_) + (layout_.cost(final_tokens) - now);
    const Bytes kept(static_cast<std::int64_t>(reserve * later.as_double()));
    return used_ + now - shared + kept <= capacity_;
  }
  /// Takes the blocks of `tokens`. REQUIRES: they are free.
  void admit(std::int64_t tokens, std::int64_t final_tokens, Bytes shared = Bytes(0));
  /// Gives back a sequence that holds `tokens` and was promised `final_tokens`; not decoding any more. `kept`: bytes of its blocks on
  /// which others stand.
  void release(std::int64_t tokens, std::int64_t final_tokens, Bytes kept = Bytes(0));
  /// Takes blocks beside those of whole decode steps, or gives them back. REQUIRES: they are free.
  void draw(Bytes bytes) {
    used_ += bytes;
    taken_ += bytes;
  }
  void put_back(Bytes bytes) { used_ -= bytes; }
  [[nodiscard]] Bytes free() const { return capacity_ - used_; }
  /// An admitted sequence uses blocks of others in place of its own: those of `bytes` become free.
  void merge(Bytes bytes) {
    used_ -= bytes;
    promised_ -= bytes;
  }

  /// A sequence of `tokens` takes part in decode steps from now on.
  void start_decode(std::int64_t tokens) { ++ring(tokens)[slot(tokens)]; }
  /// It does so no longer.
  void stop_decode(std::int64_t tokens) { --ring(tokens)[slot(tokens)]; }
  /// A decoding sequence has just got the last block its windowed layers need (REQUIRES: past_window(tokens), not past_window(tokens - 1)).
  void cross_window(std::int64_t tokens);

  /// Bytes that the next decode step takes.
  [[nodiscard]] Bytes growth() const { return layout_.block * near_[cursor_] + layout_.block_past_window * far_[cursor_]; }
  [[nodiscard]] bool can_grow() const { return used_ + growth() <= capacity_; }
  /// One decode step: every decoding sequence holds one token more. REQUIRES: can_grow().
  void grow();

 private:
  // Sequences whose next token opens a block are at `cursor_`; the others follow in the order of steps until they do.
  [[nodiscard]] std::size_t slot(std::int64_t tokens) const {
    const auto size = static_cast<std::size_t>(layout_.block_tokens);
    const std::size_t filled = static_cast<std::size_t>(tokens) % size;
    const std::size_t at = cursor_ + (filled == 0 ? 0 : size - filled);
    return at < size ? at : at - size;
  }
  std::vector<std::int64_t>& ring(std::int64_t tokens) { return layout_.past_window(tokens) ? far_ : near_; }

  KvLayout layout_;
  Bytes capacity_;
  Bytes used_{0};
  Bytes promised_{0};
  Bytes taken_{0};
  std::size_t cursor_ = 0;
  std::vector<std::int64_t> near_;  ///< decoding sequences by the step at which they open a block, inside the window
  std::vector<std::int64_t> far_;   ///< the same past the window
};

}  // namespace moeplan
