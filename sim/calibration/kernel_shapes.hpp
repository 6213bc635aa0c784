// The shapes of GPU kernels, as measured tables list them and the cost model asks for them. All per GPU (already divided by the parallel
// widths). Times are those of the kernel alone, inside a CUDA graph, with cold caches.
#pragma once

#include <cstdint>
#include <string>

#include "base/precision.hpp"
#include "base/units.hpp"
#include "hardware/node_spec.hpp"

namespace moeplan {

/// Where a time comes from, from best to worst. `kMeasured`: a measured row of this very shape. `kInterpolated`: between measured rows of this
/// device and kernel. `kExtrapolated`: beyond them, by the fitted roofline. `kTransferred`: constants of a relative. `kDatasheet`: peaks times
/// a generic achievable fraction.
enum class Origin : std::uint8_t { kMeasured, kInterpolated, kExtrapolated, kTransferred, kDatasheet };
inline constexpr int kOrigins = 5;

struct KernelTime {
  double seconds = 0;
  Origin origin = Origin::kDatasheet;
  bool sustained = false;  ///< measured at the clocks of continuous load, not of a short burst
};

/// out[m,n] = a[m,k] b[n,k]; `weights` is the storage of b, and names the kernel ("fp8_block", ...).
struct GemmShape {
  double m = 0;
  double n = 0;
  double k = 0;
  Precision weights = Precision::kBf16;
};

/// Fused MoE FFN on one rank.
struct MoeShape {
  double tokens = 0;         ///< tokens entering the layer on this rank (global tokens unless dispatched by all-to-all)
  double pairs = 0;          ///< token-expert pairs on the rank
  double experts = 0;        ///< distinct local experts touched
  double pairs_nonlocal = 0; ///< pairs that the kernel sees but that belong to other ranks
  int hidden = 0;
  int inter = 0;             ///< per expert, already divided by the tensor width inside experts
  int local_experts = 0;
  int top_k = 0;
  int total_experts = 0;
  bool gated = true;
  Precision weights = Precision::kBf16;
  double load_cv = 0;        ///< standard deviation / mean of the pairs per local expert: uneven loads fill tiles worse; 0 = even
};

/// One decode step of GQA attention in one layer.
struct DecodeAttentionShape {
  double sequences = 0;
  double context = 0;  ///< sum of KV lengths over the sequences
  int heads = 0;       ///< query heads on this GPU
  int kv_heads = 0;    ///< KV heads on this GPU
  int head_dim = 0;
  Precision kv = Precision::kBf16;
};

/// Causal prefill of one chunk of one sequence with `prefix` tokens already cached.
struct PrefillAttentionShape {
  double tokens = 0;
  double prefix = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  Precision kv = Precision::kBf16;
  double sequences = 1;  ///< sequences of this very shape in one launch
};

/// Absorbed MLA decode of one layer (latent row of 576 elements for DeepSeek).
struct MlaDecodeShape {
  double sequences = 0;
  double context = 0;
  int heads = 0;
  int kv_lora = 512;
  int qk_rope = 64;
  Precision kv = Precision::kBf16;
};

/// MLA prefill of one chunk of one sequence.
struct MlaPrefillShape {
  double tokens = 0;
  double prefix = 0;
  int heads = 0;
  int qk_head_dim = 192;
  int v_head_dim = 128;
  Precision kv = Precision::kBf16;
  double sequences = 1;  ///< sequences of this very shape in one launch
};

enum class CollectiveKind : std::uint8_t { kAllReduce, kAllGather, kReduceScatter, kAllToAll };

/// `bytes`: the message of all_reduce and all_to_all per rank, the gathered (scattered) whole of all_gather (reduce_scatter): NCCL's convention.
struct CollectiveShape {
  CollectiveKind kind = CollectiveKind::kAllReduce;
  double bytes = 0;
  int ranks = 1;
  int nodes = 1;           ///< nodes the ranks are spread over
  bool in_graph = true;    ///< replayed from a CUDA graph: the engine's custom kernel may be used
};

/// How tokens travel to the ranks of their experts and back, other than by collectives.
enum class ExchangeMode : std::uint8_t { kDeepEpLowLatency, kDeepEpNormal, kNvlinkOneSided, kNvlinkTwoSided };
inline constexpr int kExchangeModes = 4;

/// One dispatch or combine of expert parallelism, per rank.
struct ExpertExchangeShape {
  ExchangeMode mode = ExchangeMode::kDeepEpLowLatency;
  bool combine = false;    ///< false: dispatch
  double tokens = 0;       ///< tokens that this rank sends out (dispatch) or gets back (combine)
  int hidden = 0;
  int top_k = 0;
  int total_experts = 0;
  int ranks = 1;
  int nodes = 1;           ///< NVLink domains the ranks are spread over
  int top_nodes = 0;       ///< most nodes that the experts of one token may lie on (node-limited routing); 0 = no limit
  double scale_out = 0;    ///< bytes/s per GPU and direction between nodes when all send; needed when nodes > 1
  NetworkTransport transport = NetworkTransport::kInfiniBand;
  Precision payload = Precision::kFp8;  ///< format of dispatched activations; combine is always 16 bit
};

}  // namespace moeplan
