#include "routing/routing_trace.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "input/csv.hpp"
#include "routing/grouped_choice.hpp"
#include "routing/locality_fit.hpp"
#include "routing/popularity.hpp"
#include "routing/token_sampler.hpp"

namespace moeplan {
namespace {

constexpr int kFewestBatches = 8;  ///< over all layers, below which a batch size tells nothing

using Choice = std::vector<std::uint16_t>;

Choice parse_experts(const CsvReader& csv, std::size_t column, int experts) {
  const std::string_view text = csv.text(column);
  Choice choice;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    if (*at == ' ' || *at == ';') {
      ++at;
      continue;
    }
    int id = -1;
    const auto [next, error] = std::from_chars(at, end, id);
    const int limit = experts > 0 ? experts : 2048;
    if (error != std::errc() || id < 0 || id >= limit)
      csv.fail("experts is '" + std::string(text) + "'; accepted: ids from 0 to " + std::to_string(limit - 1) + ", separated by spaces");
    if (std::find(choice.begin(), choice.end(), id) != choice.end()) csv.fail("expert " + std::to_string(id) + " is named twice");
    choice.push_back(static_cast<std::uint16_t>(id));
    at = next;
  }
  if (choice.empty() || choice.size() > kMostChoices) csv.fail("experts is '" + std::string(text) + "'; accepted: 1 to " + std::to_string(kMostChoices) + " ids");
  return choice;
}

/// The tokens of one sequence in one layer, by token number.
using Sequence = std::vector<std::pair<std::int64_t, Choice>>;

/// Adds the batches of sums.tokens tokens with consecutive numbers.
void add_batches(const Sequence& tokens, const std::vector<double>& included, BatchSums& sums) {
  std::vector<double> counts(included.size());
  const auto step = static_cast<std::size_t>(sums.tokens);
  for (std::size_t first = 0; first + step <= tokens.size();) {
    if (tokens[first + step - 1].first - tokens[first].first != sums.tokens - 1) {
      ++first;
      continue;
    }
    std::fill(counts.begin(), counts.end(), 0.0);
    for (std::size_t t = first; t < first + step; ++t) {
      for (const std::uint16_t e : tokens[t].second) counts[e] += 1;
    }
    sums.add<double>(counts, included);
    first += step;
  }
}

/// The router of one recorded layer.
RouterChoice recorded_choice(const std::vector<double>& counts, int top_k) {
  RoutingConfig config;
  config.popularity = PopularityKind::kRecorded;
  config.recorded.layers = {counts};
  MoeSpec moe;
  moe.experts = static_cast<int>(counts.size());
  moe.top_k = top_k;
  GroupedCorrection none;
  return make_router_choice(moe, expert_shares(config, moe, 0, 0), none, true);
}

}  // namespace

bool is_routing_trace(const std::filesystem::path& file) { return CsvReader(file).find_column("experts").has_value(); }

RoutingTrace load_routing_trace(const std::filesystem::path& file, int experts) {
  CsvReader csv(file);
  const std::size_t token_at = csv.column("token");
  const std::size_t layer_at = csv.column("layer");
  const std::size_t experts_at = csv.column("experts");
  const auto sequence_at = csv.find_column("sequence");
  std::map<std::int64_t, std::map<std::int64_t, Sequence>> layers;  // layer, sequence
  std::size_t top_k = 0;
  int largest = 0;
  while (csv.next()) {
    const std::int64_t token = csv.integer(token_at);
    const std::int64_t layer = csv.integer(layer_at);
    if (token < 0 || layer < 0) csv.fail("token and layer must not be negative");
    Choice choice = parse_experts(csv, experts_at, experts);
    if (top_k == 0) top_k = choice.size();
    if (choice.size() != top_k) csv.fail("names " + std::to_string(choice.size()) + " experts, the first row " + std::to_string(top_k));
    for (const std::uint16_t e : choice) largest = std::max<int>(largest, e);
    Sequence& sequence = layers[layer][sequence_at ? csv.integer(*sequence_at) : 0];
    if (!sequence.empty() && sequence.back().first >= token) csv.fail("token " + std::to_string(token) + " does not come after token " + std::to_string(sequence.back().first) + " of this layer");
    sequence.emplace_back(token, std::move(choice));
  }
  if (layers.empty()) throw InputError(file.string(), "has no rows; expected token,layer,experts");
  RoutingTrace trace;
  trace.counts.source = file.string();
  std::array<BatchSums, kFittedBatches.size()> sums;
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i].tokens = kFittedBatches[i];
  std::vector<RouterChoice> choices;
  auto recorded = std::make_shared<RecordedTokens>();
  recorded->top_k = static_cast<int>(top_k);
  for (const auto& [layer, sequences] : layers) {
    std::vector<std::uint16_t>& all = recorded->layers.emplace_back();
    std::vector<double> counts(static_cast<std::size_t>(experts > 0 ? experts : largest + 1), 0.0);
    double tokens = 0;
    for (const auto& [id, sequence] : sequences) {
      tokens += static_cast<double>(sequence.size());
      for (const auto& [number, choice] : sequence) {
        for (const std::uint16_t e : choice) counts[e] += 1;
        all.insert(all.end(), choice.begin(), choice.end());
      }
    }
    std::vector<double> included = counts;
    for (double& p : included) p /= tokens;
    for (const auto& [id, sequence] : sequences) {
      for (BatchSums& batches : sums) add_batches(sequence, included, batches);
    }
    if (top_k < counts.size()) choices.push_back(recorded_choice(counts, static_cast<int>(top_k)));
    trace.counts.layers.push_back(std::move(counts));
  }
  trace.counts.tokens = std::move(recorded);
  std::vector<BatchSums> batches;
  for (const BatchSums& sum : sums) {
    if (sum.batches >= kFewestBatches && sum.independent > 0 && sum.squares > 0) batches.push_back(sum);
  }
  if (!batches.empty() && !choices.empty()) trace.locality = fit_locality(batches, choices);
  return trace;
}

}  // namespace moeplan
