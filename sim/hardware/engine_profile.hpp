// How a serving engine (vLLM, SGLang, TensorRT-LLM, or an ideal one) schedules, what memory it keeps for itself and what its host code
// costs. Every field comes from hardware_profiles/engines/ID.json with its source; few constants, all with a physical meaning.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.hpp"
#include "hardware/engine_support.hpp"
#include "hardware/gpu_spec.hpp"

namespace moeplan {

enum class PrefillMode : std::uint8_t {
  kMixed,     ///< prefill chunks ride in the same step as decodes (vLLM v1, TensorRT-LLM in-flight batching)
  kSeparate,  ///< a step is either prefill or decode, prefill first (SGLang)
  kStatic,    ///< a batch is formed when none runs, and nobody joins it until all of it has ended
};
/// Who is taken next of those who wait.
enum class QueueOrder : std::uint8_t {
  kArrival,
  kPriority,       ///< highest priority first, then arrival; the lowest priority is preempted first
  kLongestPrefix,  ///< the prompt with most tokens in the prefix cache (SGLang's default order), among the first 128 who wait
};
enum class MemoryFormula : std::uint8_t {
  kFractionOfTotal,  ///< KV = fraction x memory - weights - runtime (vLLM, SGLang)
  kFractionOfFree,   ///< KV = fraction x (memory - weights - runtime) (TensorRT-LLM)
};
enum class ExpertParallelComm : std::uint8_t { kAllGatherReduceScatter, kAllToAll, kDeepEp, kNvlinkOneSided, kNvlinkTwoSided };

/// Limits of the batch scheduler.
struct SchedulerConfig {
  int max_batch_requests = 256;
  int max_batch_tokens = 8192;
  bool chunked_prefill = true;
  PrefillMode prefill_mode = PrefillMode::kMixed;
  int kv_block_tokens = 16;
  double memory_fraction = 0.9;
  double admission_output_reserve = 0.0;  ///< share of the requested output whose KV must be free at admission (1 = never preempts)
  bool prefix_caching = false;            ///< blocks that a preempted sequence gave back are found again until others have overwritten them
  QueueOrder queue_order = QueueOrder::kArrival;
  bool preempt_for_priority = false;      ///< with kPriority: who waits takes the place of running requests of lower priority
  int max_queued_requests = 0;            ///< a request that finds so many waiting is rejected; 0 = no limit
  std::int64_t max_queued_tokens = 0;     ///< the same for the prompt tokens that wait, its own included; 0 = no limit
  /// Attention data parallelism: decode steps for which waiting prompts are held back until every copy of attention gets one, so that none
  /// pads to the others' prompts; 0: not held back. `prefill_group`: how many copies that is (set from the layout).
  int prefill_wait_steps = 0;
  int prefill_group = 1;
  bool schedules_ahead = false;           ///< a step is decided as the one before it starts: who arrives during a step misses the next one as well
  int max_context = 0;                    ///< longest prompt + output accepted; 0 = the model's own
};

/// Which communication of data-parallel attention an engine hides behind computation, as far as there is any.
struct OverlapConfig {
  bool two_batch = false;      ///< a step runs as two half batches, one computing while the other communicates
  bool shared_expert = false;  ///< shared experts run while tokens travel
  bool operator==(const OverlapConfig&) const = default;
};

/// Defaults that an engine chooses by the GPU it finds; applied where all conditions hold.
struct EngineOverride {
  std::vector<std::string> architectures;      ///< any of these; empty = all
  std::vector<std::string> not_architectures;  ///< none of these
  std::optional<Bytes> memory_at_least, memory_below;
  std::optional<int> max_batch_requests, max_batch_tokens;
  std::optional<double> prefill_kernel_multiplier;
  std::optional<ExpertParallelComm> expert_comm;
  std::optional<std::vector<std::string>> all_reduce;
  std::optional<std::vector<Precision>> fp8_kv_cache_with;
  std::string source;

  [[nodiscard]] bool holds_for(const GpuSpec& gpu) const;
};

/// Factors on the time of single operations: what-if studies and draws of their errors. Not a property of any engine: 1 in every profile.
struct OperationFactors {
  double gemm = 1, experts = 1, attention = 1, communication = 1;
};

struct EngineProfile {
  std::string id;
  std::string version;
  SchedulerConfig scheduler;
  MemoryFormula memory_formula = MemoryFormula::kFractionOfTotal;
  Bytes runtime_reserve;               ///< CUDA context, graphs, workspace per GPU, as far as the memory fraction covers them; activations are counted apart
  double sampler_bytes_per_logit = 10;  ///< alive at once while the engine samples for a full batch, per request and word of the vocabulary
  std::vector<Precision> fp8_kv_cache_with;  ///< weight or expert formats whose checkpoints or recipes bring an fp8 KV cache; else bf16
  Seconds host_per_step;               ///< scheduler, launch and sampler time added to every step
  Seconds host_per_sequence;           ///< added per running sequence and step
  Seconds host_per_sequence_across{0};  ///< the part of it that only replicas of several GPUs have: their ranks agree on every step's requests and tokens
  Seconds host_per_prompt{0};          ///< added to a step for each prompt that it ends; set by anchors alone
  Seconds host_per_layer;              ///< added per layer and step (0 under CUDA graphs)
  /// Steps with prefill run outside CUDA graphs: the host launches the kernels one by one, and the step takes at least this per layer with latent
  /// attention (MLA), which is made of many small kernels; 0: the GPU is always the slower one.
  Seconds launches_per_latent_layer{0};
  /// HTTP, tokenizer, detokenizer, off the GPU: the time that a request spends between client and engine, to which it adds that much per token of
  /// its prompt and per request that the front end serves beside it.
  Seconds request_latency;
  Seconds request_per_token{0}, request_per_stream{0};
  double kernel_multiplier = 1.0;      ///< sustained clocks: kernel times are multiplied by this
  double burst_clock_multiplier = 1.0;  ///< the part of kernel_multiplier that kernels measured in short bursts need and kernels measured in an engine do not
  double prefill_kernel_multiplier = 1.0;  ///< additionally on compute-bound prefill (power throttling)
  double experts_in_prefill = 1.0;     ///< routed experts of a step with prefill over their benchmark alone
  int shared_expert_stream = 0;        ///< decode steps of up to so many tokens per GPU run shared experts beside the routed ones; 0 = never
  OperationFactors operations;         ///< on top of the multipliers
  int stream_interval = 1;             ///< the client sees tokens in groups of this many
  /// Frameworks whose measured all-reduce kernels the engine can run in CUDA graphs: "vllm", "sglang", "trtllm", "nccl". The fastest counts, size
  /// by size; NCCL always competes.
  std::vector<std::string> all_reduce;
  std::vector<std::string> kernel_preference;  ///< frameworks whose kernel tables to prefer, best first
  ExpertParallelComm expert_comm = ExpertParallelComm::kAllGatherReduceScatter;
  OverlapConfig overlap;
  std::vector<EngineOverride> overrides;  ///< applied by for_gpu, in order
  EngineSupport supports;
  std::map<std::string, std::string> sources;  ///< field -> source
  std::string notes;

  /// All of the path between client and engine, times `factor`.
  void scale_request_path(double factor) {
    for (Seconds* part : {&request_latency, &request_per_token, &request_per_stream}) *part = factor * *part;
  }
  /// This profile with the defaults that the engine takes on `gpu`. Idempotent; scenario settings go on top of the result.
  [[nodiscard]] EngineProfile for_gpu(const GpuSpec& gpu) const;
};

/// What stands against running `use` with this engine on `gpu`: refusals and warnings, each one line. Device memory is not looked at.
SupportAnswer check_support(const EngineProfile& engine, const GpuSpec& gpu, const EngineUse& use);

std::string_view to_string(PrefillMode mode);
std::string_view to_string(QueueOrder order);
std::string_view to_string(MemoryFormula formula);
std::string_view to_string(ExpertParallelComm comm);

}  // namespace moeplan
