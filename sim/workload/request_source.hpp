// What clients send: a stream of requests in order of arrival, drawn lazily. The same seed gives the same requests under every
// deployment compared.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/units.hpp"

namespace moeplan {

/// One request as it leaves the client. What its prompt shares with other prompts is said in one of two ways: by the blocks a trace
/// recorded, or by a shared prefix followed by the conversation's own tokens.
struct RequestSpec {
  std::uint64_t id = 0;  ///< 0, 1, 2, ... in order of issue
  SimTime arrival{0};
  std::int32_t prompt_tokens = 0;  ///< > 0
  std::int32_t output_tokens = 0;  ///< > 0; the request always generates exactly this many
  std::int32_t class_id = 0;       ///< index of its workload class
  std::int32_t priority = 0;       ///< more goes first; schedulers without priorities ignore it
  std::int64_t prefix_id = -1;     ///< equal ids begin with the same tokens (a system prompt); -1: no shared prefix
  std::int32_t prefix_tokens = 0;  ///< length of that prefix, at most prompt_tokens
  /// Tokens per entry of trace_blocks, > 0 where there are any; the last entry may stand for fewer.
  std::int32_t trace_block_tokens = 0;
  /// A conversation: all tokens after the shared prefix (prompt and output) continue those of the session's earlier requests. -1: none.
  std::int64_t session_id = -1;
  /// Prefix hashes of the prompt as a trace recorded them, in order; equal entries stand for equal tokens after equal tokens. Empty: not
  /// recorded. Owned by the source, valid as long as it lives.
  std::span<const std::uint32_t> trace_blocks{};
};

/// Open sources (Poisson, gamma, trace, batch) know every arrival in advance; a closed source issues the next request only after one has
/// finished.
class RequestSource {
 public:
  virtual ~RequestSource() = default;
  /// The next request whose arrival is already decided, in non-decreasing order of arrival; nothing when none is (now, for a closed source;
  /// ever again, for an open one).
  virtual std::optional<RequestSpec> next() = 0;
  /// Tells a closed source that a request it issued has finished at `now`; it may make next() give one more. Open sources ignore it.
  virtual void on_finished(std::uint64_t id, SimTime now) = 0;
  /// Tells a closed source that the arrival of request `id`, which next() gave, has happened; it may make next() give one more.
  virtual void on_arrived(std::uint64_t /*id*/) {}
  /// Whether finished requests can cause arrivals.
  [[nodiscard]] virtual bool closed() const = 0;
  /// The least time between a completion and the arrival it causes; only for closed sources.
  [[nodiscard]] virtual SimTime turnaround() const { return SimTime{0}; }
  /// After what time the client of a request that a full queue turned away sends it again; 0: never, it is rejected.
  [[nodiscard]] virtual SimTime retry_after(const RequestSpec& /*spec*/) const { return SimTime{0}; }
  /// Requests it will issue in all.
  [[nodiscard]] virtual std::uint64_t total() const = 0;
};

}  // namespace moeplan
