// How a model's routers spread tokens over experts, as a scenario states it or as measured on the model's family, and where the experts
// lie. Left out on purpose: the weights a router gives to the chosen experts (they change results, not time).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/units.hpp"
#include "input/file_folders.hpp"
#include "model/model_spec.hpp"

namespace moeplan {

class JsonReader;

enum class PopularityKind : std::uint8_t { kUniform, kLognormal, kZipf, kDirichlet, kPowerLaw, kRecorded };

/// Choices of single tokens, in the order of the text.
struct RecordedTokens {
  int top_k = 0;
  std::vector<std::vector<std::uint16_t>> layers;  ///< [layer][token x top_k], every layer with a token
  bool operator==(const RecordedTokens&) const = default;
};

/// Counts of token-expert pairs per MoE layer and expert, from a file or by hand.
struct RecordedCounts {
  std::vector<std::vector<double>> layers;        ///< [layer][expert], every layer with a positive sum
  std::string source;                             ///< file name for messages
  std::shared_ptr<const RecordedTokens> tokens;  ///< what was counted, where the file tells; null: counts alone
  bool operator==(const RecordedCounts& other) const {
    return layers == other.layers && source == other.source &&
           (tokens == other.tokens || (tokens && other.tokens && *tokens == *other.tokens));
  }
};

/// Choices of neighbouring tokens of a prompt. A token follows an earlier one with probability copy / kept; the distance d to that token has
/// probability proportional to d^-decay, d = 1 .. reach. A follower takes over the other's first m experts in the order they were drawn,
/// m ~ Binomial(top_k, kept), and goes on drawing from there, which keeps every expert's popularity exactly and lets popular experts, drawn
/// early, last longer, as they do in traces. Fitted, see scenarios/routing/README.md.
struct RoutingLocality {
  double copy = 0;  ///< share of all choices that are taken over
  double decay = 1;
  int reach = 1;
  double kept = 1;  ///< share of its experts that a follower takes over, at least `copy`; 1: all of them
  bool operator==(const RoutingLocality&) const = default;
};

/// How often each expert is chosen. Fields that a kind does not name are unused.
struct Popularity {
  PopularityKind popularity = PopularityKind::kUniform;
  double sigma = 0;         ///< lognormal: standard deviation of the log of an expert's share
  double exponent = 0;      ///< zipf: share of the r-th expert ~ r^-exponent; power law: density of a share x ~ x^-exponent
  double alpha = 0;         ///< dirichlet: concentration per expert
  double range = 1000;      ///< power law: largest / smallest share before normalisation
  RecordedCounts recorded;  ///< recorded: layer l of the model takes layer l modulo the recorded ones
  double noise = 0;         ///< router noise, 0 .. 1: share of choices made uniformly at random
  double collapsed = 0;     ///< share of the experts, 0 .. 1, that get almost no tokens
  bool operator==(const Popularity&) const = default;
};

/// One kind of traffic and the experts it likes. Tokens of independent requests mix by `decode_share`; the tokens of a prompt are all of
/// one domain, drawn by `prefill_share`.
struct RoutingDomain {
  std::string name;
  double decode_share = 0;  ///< of the decoded tokens; shares of all domains sum to 1
  double prefill_share = 0;
  Popularity popularity;
  bool operator==(const RoutingDomain&) const = default;
};

/// Popularity that changes: every `period` the experts' ranks are drawn anew, with `correlation` to the period before (of the normal
/// scores of their ranks, a first-order autoregression). The shares themselves stay; which experts they belong to changes.
struct RoutingDrift {
  SimTime period{0};  ///< 0: no drift
  double correlation = 0;
  [[nodiscard]] bool on() const { return period.count() > 0; }
  bool operator==(const RoutingDrift&) const = default;
};

enum class Overflow : std::uint8_t {
  kDrop,     ///< the token goes on without that expert
  kReroute,  ///< to other experts by popularity as long as they have room, then dropped
};

struct RoutingConfig : Popularity {
  RoutingLocality locality;
  std::vector<RoutingDomain> domains;  ///< when there are any they replace the popularity above
  RoutingDrift drift;
  double capacity_factor = 0;  ///< an expert takes at most this many times an even share of a step's pairs; 0: any number
  Overflow overflow = Overflow::kDrop;
  std::string source;  ///< where a default or a preset comes from; empty when the scenario states the routing
  /// Whether steps take recorded tokens as they are: a trace of a router with this top-k, and nothing stated that would change its choices.
  [[nodiscard]] bool replays(int top_k) const {
    return popularity == PopularityKind::kRecorded && recorded.tokens && recorded.tokens->top_k == top_k && noise == 0 && collapsed == 0 &&
           !drift.on() && domains.empty();
  }
  bool operator==(const RoutingConfig&) const = default;
};

enum class PlacementKind : std::uint8_t { kContiguous, kBalanced, kHierarchical };

/// A placement computed anew every `period` from the loads of the `window` before it.
struct Rebalance {
  SimTime period{0};  ///< 0: never
  SimTime window{0};
  [[nodiscard]] bool on() const { return period.count() > 0; }
  bool operator==(const Rebalance&) const = default;
};

/// Where the experts of a layer lie.
struct PlacementConfig {
  int ranks = 1;  ///< expert-parallel width
  PlacementKind kind = PlacementKind::kContiguous;
  int redundant_experts = 0;  ///< slots beyond one per expert, given to replicas of the hottest (not kContiguous)
  RecordedCounts tuned_on{};  ///< not kContiguous: counts the placement was computed on at the start; empty = the popularity it meets
  Rebalance rebalance{};      ///< not kContiguous
  int nodes = 1;              ///< kHierarchical: nodes that the ranks lie on, equally many each
  bool operator==(const PlacementConfig&) const = default;
};

/// Reads the `routing` object of a scenario: popularity ("uniform" | "lognormal" + sigma | "zipf" + exponent (or s) | "dirichlet" + alpha |
/// "power_law" + exponent [, range] | "recorded" + file) or preset, and optionally noise, collapsed, locality {copy, decay, reach, kept}, drift
/// {period, correlation}, capacity_factor and overflow. Without popularity and preset: default_routing() of `family` and `moe`, where these
/// are given. Files are looked for in `folders`. Throws InputError.
RoutingConfig parse_routing(const JsonReader& routing, const FileFolders& folders, const std::string& family = {},
                            const MoeSpec& moe = {});

/// The popularity alone, of a workload class: its noise and collapsed included.
Popularity parse_popularity(const JsonReader& routing, const FileFolders& folders);

/// Reads placement ("contiguous" | "balanced" | "hierarchical"), redundant_experts, tuned_on (a recorded file) and rebalance {period,
/// window} from the same object.
PlacementConfig parse_placement(const JsonReader& routing, const FileFolders& folders, int ranks);

/// Locality as fitted to the DeepSeek-V2-Lite traces; the default of every popularity but uniform.
RoutingLocality measured_locality();

/// The popularity measured for a model family, or on the nearest measured one; `source` says which.
RoutingConfig default_routing(const std::string& family, const MoeSpec& moe);

/// Reads counts from a CSV with the columns layer, expert, count. Throws InputError: missing column, negative count, a layer that lacks an
/// expert or has no tokens, the same pair twice.
RecordedCounts load_recorded(const std::filesystem::path& file);

}  // namespace moeplan
