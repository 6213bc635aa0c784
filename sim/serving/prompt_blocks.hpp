// A request's tokens as runs of whole KV blocks, each with a key: equal keys after equal runs hold equal tokens. What prompts share is never
// hashed token by token: a shared prefix, a conversation or a recorded trace block is one run however long it is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "workload/request_source.hpp"

namespace moeplan {

struct BlockRun {
  std::uint64_t key = 0;
  std::int32_t blocks = 0;
};

class PromptBlocks {
 public:
  /// REQUIRES: block_tokens > 0; spec.trace_blocks stays valid.
  PromptBlocks(const RequestSpec& spec, std::int32_t block_tokens) : spec_(spec), block_tokens_(block_tokens) {}

  /// The next run; the last one (the request's or conversation's own tokens) has no end. Runs of no whole block are left out.
  BlockRun next() {
    while (entry_ < spec_.trace_blocks.size()) {
      const BlockRun run = trace_run(entry_++);
      if (run.blocks > 0) return run;
    }
    if (!prefix_done_) {
      prefix_done_ = true;
      if (spec_.trace_blocks.empty() && spec_.prefix_id >= 0 && spec_.prefix_tokens >= block_tokens_) {
        return {tagged(1, spec_.prefix_id), spec_.prefix_tokens / block_tokens_};
      }
    }
    const bool session = spec_.session_id >= 0;
    return {session ? tagged(2, spec_.session_id) : tagged(3, static_cast<std::int64_t>(spec_.id)), kEndless};
  }

  static constexpr std::int32_t kEndless = std::numeric_limits<std::int32_t>::max();

 private:
  static std::uint64_t tagged(std::uint64_t kind, std::int64_t id) { return (kind << 62) | (static_cast<std::uint64_t>(id) & ~(std::uint64_t{3} << 62)); }

  /// A KV block belongs to the recorded block that holds its last token: recorded hashes cover everything before them.
  [[nodiscard]] BlockRun trace_run(std::size_t entry) const {
    const auto begin = static_cast<std::int64_t>(entry) * spec_.trace_block_tokens;
    const std::int64_t end = std::min<std::int64_t>(begin + spec_.trace_block_tokens, spec_.prompt_tokens);
    const std::int64_t blocks = end / block_tokens_ - begin / block_tokens_;
    return {tagged(0, spec_.trace_blocks[entry]), static_cast<std::int32_t>(std::max<std::int64_t>(0, blocks))};
  }

  const RequestSpec& spec_;
  std::int32_t block_tokens_;
  std::size_t entry_ = 0;
  bool prefix_done_ = false;
};

}  // namespace moeplan
