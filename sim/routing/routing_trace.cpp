#include "routing/routing_trace.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "input/csv.hpp"
#include "routing/choice.hpp"
#include "routing/token_sampler.hpp"

namespace moeplan {
namespace {

constexpr std::array<int, 7> kBatches = {4, 8, 16, 32, 64, 128, 256};
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

/// Sums over the batches of one size.
struct BatchSums {
  double batches = 0, distinct = 0, squares = 0, independent = 0;
};

/// Adds the batches of `size` tokens with consecutive numbers.
void add_batches(const Sequence& tokens, int size, const std::vector<double>& included, BatchSums& sums) {
  double variance = 0;
  for (const double p : included) variance += size * p * (1.0 - p);
  std::vector<double> counts(included.size());
  const auto step = static_cast<std::size_t>(size);
  for (std::size_t first = 0; first + step <= tokens.size();) {
    if (tokens[first + step - 1].first - tokens[first].first != size - 1) {
      ++first;
      continue;
    }
    std::fill(counts.begin(), counts.end(), 0.0);
    for (std::size_t t = first; t < first + step; ++t) {
      for (const std::uint16_t e : tokens[t].second) counts[e] += 1;
    }
    for (std::size_t e = 0; e < counts.size(); ++e) {
      sums.distinct += counts[e] > 0 ? 1 : 0;
      sums.squares += (counts[e] - size * included[e]) * (counts[e] - size * included[e]);
    }
    sums.independent += variance;
    sums.batches += 1;
    first += step;
  }
}

double expected_distinct(const std::vector<std::vector<double>>& included, double fresh_tokens) {
  double sum = 0;
  for (const auto& layer : included) {
    for (const double p : layer) sum += 1.0 - std::pow(std::max(0.0, 1.0 - p), fresh_tokens);
  }
  return sum / static_cast<double>(included.size());
}

}  // namespace

RoutingLocality fit_locality(const std::vector<BatchMoments>& batches, const std::vector<std::vector<double>>& included) {
  const auto misfit = [&](const RoutingLocality& locality) {
    const LocalityTables tables = make_locality_tables(locality);
    double sum = 0;
    for (const BatchMoments& b : batches) {
      const double distinct = expected_distinct(included, tables.fresh_tokens(b.tokens)) / b.distinct - 1.0;
      const double spread = std::sqrt(tables.inflation(b.tokens) / b.inflation) - 1.0;
      sum += distinct * distinct / (0.03 * 0.03) + spread * spread / (0.1 * 0.1);
    }
    return sum;
  };
  RoutingLocality best;
  double least = misfit(best);
  for (const int reach : {16, 32, 64, 128}) {
    RoutingLocality at{0.4, 1.0, reach};
    double here = misfit(at);
    for (double step = 0.2; step > 0.02;) {
      const RoutingLocality from = at;
      for (const auto& [dc, dd] : {std::pair{step, 0.0}, {-step, 0.0}, {0.0, 2 * step}, {0.0, -2 * step}}) {
        const RoutingLocality next{std::clamp(from.copy + dc, 0.02, 0.95), std::clamp(from.decay + dd, 0.0, 5.0), reach};
        if (const double m = misfit(next); m < here) {
          here = m;
          at = next;
        }
      }
      if (at == from) step *= 0.5;
    }
    if (here < least) {
      least = here;
      best = at;
    }
  }
  return best;
}

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
  std::array<BatchSums, kBatches.size()> sums;
  std::vector<std::vector<double>> included;
  for (const auto& [layer, sequences] : layers) {
    std::vector<double> counts(static_cast<std::size_t>(experts > 0 ? experts : largest + 1), 0.0);
    double tokens = 0;
    for (const auto& [id, sequence] : sequences) {
      tokens += static_cast<double>(sequence.size());
      for (const auto& [number, choice] : sequence) {
        for (const std::uint16_t e : choice) counts[e] += 1;
      }
    }
    included.push_back(counts);
    for (double& p : included.back()) p /= tokens;
    for (const auto& [id, sequence] : sequences) {
      for (std::size_t i = 0; i < kBatches.size(); ++i) add_batches(sequence, kBatches[i], included.back(), sums[i]);
    }
    trace.counts.layers.push_back(std::move(counts));
  }
  std::vector<BatchMoments> batches;
  for (std::size_t i = 0; i < kBatches.size(); ++i) {
    if (sums[i].batches < kFewestBatches || sums[i].independent <= 0 || sums[i].squares <= 0) continue;
    batches.push_back({kBatches[i], sums[i].distinct / sums[i].batches, sums[i].squares / sums[i].independent});
  }
  if (!batches.empty()) trace.locality = fit_locality(batches, included);
  return trace;
}

}  // namespace moeplan
