// How a model's routers spread tokens over experts, as a scenario states it or as measured on the model's family, and where the experts
// lie. Left out on purpose: the weights a router gives to the chosen experts (they change results, not time).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "model/model_spec.hpp"

namespace moeplan {

class JsonReader;

enum class PopularityKind : std::uint8_t { kUniform, kLognormal, kZipf, kDirichlet, kPowerLaw, kRecorded };

/// Counts of token-expert pairs per MoE layer and expert, from a file or by hand.
struct RecordedCounts {
  std::vector<std::vector<double>> layers;  ///< [layer][expert], every layer with a positive sum
  std::string source;                       ///< file name for messages
  bool operator==(const RecordedCounts&) const = default;
};

/// Choices of neighbouring tokens of a prompt: a token repeats the choice of an earlier one with probability `copy`; the distance d to
/// that token has probability proportional to d^-decay, d = 1 .. reach. Real tokens repeat a part of their experts; all or none with the
/// same mean reproduces the measured loads as well and keeps the popularity exactly. Fitted, see scenarios/routing/README.md.
struct RoutingLocality {
  double copy = 0;
  double decay = 1;
  int reach = 1;
  bool operator==(const RoutingLocality&) const = default;
};

struct RoutingConfig {
  PopularityKind popularity = PopularityKind::kUniform;
  double sigma = 0;         ///< lognormal: standard deviation of the log of an expert's share
  double exponent = 0;      ///< zipf: share of the r-th expert ~ r^-exponent; power law: density of a share x ~ x^-exponent
  double alpha = 0;         ///< dirichlet: concentration per expert
  double range = 1000;      ///< power law: largest / smallest share before normalisation
  RecordedCounts recorded;  ///< recorded: layer l of the model takes layer l modulo the recorded ones
  double noise = 0;         ///< router noise, 0 .. 1: share of choices made uniformly at random
  double collapsed = 0;     ///< share of the experts, 0 .. 1, that get almost no tokens
  RoutingLocality locality;
  std::string source;  ///< where a default comes from; empty when the scenario states the routing
  bool operator==(const RoutingConfig&) const = default;
};

enum class PlacementKind : std::uint8_t { kContiguous, kBalanced };

/// Where the experts of a layer lie.
struct PlacementConfig {
  int ranks = 1;  ///< expert-parallel width
  PlacementKind kind = PlacementKind::kContiguous;
  int redundant_experts = 0;  ///< slots beyond one per expert, given to replicas of the hottest (kBalanced only)
  RecordedCounts tuned_on{};  ///< kBalanced: counts the placement was computed on; empty = the popularity it meets
  bool operator==(const PlacementConfig&) const = default;
};

/// Reads the `routing` object of a scenario: popularity ("uniform" | "lognormal" + sigma | "zipf" + exponent (or s) | "dirichlet" + alpha |
/// "power_law" + exponent [, range] | "recorded" + file), and optionally noise, collapsed, locality {copy, decay, reach}. Relative files
/// are taken from `base`. Throws InputError.
RoutingConfig parse_routing(const JsonReader& routing, const std::filesystem::path& base);

/// Reads placement ("contiguous" | "balanced"), redundant_experts and tuned_on (a recorded file) from the same object.
PlacementConfig parse_placement(const JsonReader& routing, const std::filesystem::path& base, int ranks);

/// Locality as fitted to the DeepSeek-V2-Lite traces; the default of every popularity but uniform.
RoutingLocality measured_locality();

/// The popularity measured for a model family, or on the nearest measured one; `source` says which.
RoutingConfig default_routing(const std::string& family, const MoeSpec& moe);

/// Reads counts from a CSV with the columns layer, expert, count. Throws InputError: missing column, negative count, a layer that lacks an
/// expert or has no tokens, the same pair twice.
RecordedCounts load_recorded(const std::filesystem::path& file);

}  // namespace moeplan
