// A serving engine around the decoder: paged KV cache, continuous batching, first come first served. All decodes ride in every step, prompts take
// what is left of the token budget in chunks; a request is admitted when the blocks of its whole length are free, so nobody is preempted.
#pragma once

#include <deque>
#include <functional>

#include "reference_engine/decoder.hpp"

namespace moeplan::reference {

/// Where time comes from: the real clock when serving, one that tests move by hand.
class EngineClock {
 public:
  virtual ~EngineClock() = default;
  [[nodiscard]] virtual double now() = 0;       ///< seconds since serving began
  virtual void wait_until(double seconds) = 0;
  /// Times the processor was taken away so far.
  [[nodiscard]] virtual long disturbances() { return 0; }
};

struct EngineConfig {
  int max_batch_requests = 32;
  int max_batch_tokens = 256;
  int kv_blocks = 512;
};

struct Request {
  double arrival = 0;  ///< seconds
  int prompt_tokens = 1, output_tokens = 1;
};

struct RequestLog {
  double arrival = 0, scheduled = 0, first_token = 0, finished = 0;
  std::vector<std::int32_t> output;
};

/// Part of one prompt in a step.
struct ChunkLog {
  int tokens = 0, position = 0;
  bool samples = false;
};

struct StepLog {
  double start = 0, seconds = 0;
  int decode_sequences = 0, prefill_tokens = 0;
  std::int64_t decode_context = 0;  ///< KV tokens read by the decodes, the new ones included
  double distinct_experts = 0;
  std::vector<ChunkLog> chunks;
  OperationSeconds operations{};
  bool disturbed = false;
};

struct ServingLog {
  std::vector<RequestLog> requests;  ///< in order of arrival
  std::vector<StepLog> steps;
};

/// Blocks of the KV cache; the last ones given back go out first.
class BlockPool {
 public:
  explicit BlockPool(int blocks);
  [[nodiscard]] int free_blocks() const { return static_cast<int>(free_.size()); }
  /// REQUIRES: enough are free.
  std::vector<std::int32_t> take(int count);
  void give_back(const std::vector<std::int32_t>& blocks);

 private:
  std::vector<std::int32_t> free_;
  std::vector<bool> taken_;
};

class Engine {
 public:
  /// REQUIRES: `model` and `clock` outlive this.
  Engine(Model& model, const EngineConfig& config, EngineClock& clock);

  /// Serves `requests` (ascending arrivals) to the end. Prompts are drawn from `seed` and the request's index.
  ServingLog serve(const std::vector<Request>& requests, std::uint64_t seed);
  [[nodiscard]] Decoder& decoder() { return decoder_; }
  [[nodiscard]] const BlockPool& blocks() const { return blocks_; }

 private:
  struct Sequence {
    std::size_t index;
    std::vector<std::int32_t> tokens;  ///< prompt, then what was produced
    int prompt = 0, outputs = 0;
    int cached = 0;                    ///< tokens in the KV cache
    std::vector<std::int32_t> blocks;
    [[nodiscard]] bool decodes() const { return cached >= prompt; }
  };
  void admit(ServingLog& log, std::uint64_t seed);
  void compose();
  void run_step(ServingLog& log);
  void advance(const StepResult& result, ServingLog& log);

  Model& model_;
  EngineConfig config_;
  EngineClock& clock_;
  Decoder decoder_;
  BlockPool blocks_;
  const std::vector<Request>* requests_ = nullptr;
  std::size_t next_arrival_ = 0;
  std::deque<std::size_t> waiting_;
  std::vector<Sequence> running_;
  std::vector<Slice> slices_;
  std::vector<std::size_t> members_;  ///< of running_, by slice
};

/// The tokens that serve() feeds for request `index`.
std::vector<std::int32_t> prompt_of(std::uint64_t seed, std::size_t index, int tokens, int vocab);

}  // namespace moeplan::reference
