#include "routing/grouped_choice.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.hpp"
#include "routing/token_sampler.hpp"

namespace moeplan {
namespace {

constexpr int kTrialTokens = 6000;
constexpr int kRounds = 4;
constexpr std::size_t kClasses = 12;  // experts of similar popularity are corrected together, to average the noise of the trials

struct Trial {
  std::vector<std::int32_t> counts;
  std::vector<double> group_variance;
};

Trial draw_trial(const RouterChoice& choice, RandomStream& random) {
  const auto groups = static_cast<std::size_t>(choice.groups());
  Trial trial;
  trial.counts.assign(choice.included.size(), 0);
  std::vector<std::int32_t> total(groups, 0);
  std::vector<double> sum(groups, 0.0);
  std::vector<double> squares(groups, 0.0);
  for (int t = 0; t < kTrialTokens; ++t) {
    sample_tokens(choice, nullptr, 1, random, trial.counts);
    for (std::size_t g = 0; g < groups; ++g) {
      const auto first = trial.counts.begin() + static_cast<std::ptrdiff_t>(g) * choice.group_size;
      const std::int32_t now = std::accumulate(first, first + choice.group_size, 0);
      const double chosen = now - total[g];
      total[g] = now;
      sum[g] += chosen;
      squares[g] += chosen * chosen;
    }
  }
  for (std::size_t g = 0; g < groups; ++g) trial.group_variance.push_back(squares[g] / kTrialTokens - std::pow(sum[g] / kTrialTokens, 2));
  return trial;
}

/// Multiplies the weights of each set of experts by (wanted / drawn)^gain.
template <class SetOf>
void correct(const RouterChoice& choice, const Trial& trial, double gain, std::size_t sets, SetOf set_of, std::vector<double>& weights) {
  std::vector<double> wanted(sets, 0.0);
  std::vector<double> drawn(sets, 0.0);
  for (std::size_t e = 0; e < weights.size(); ++e) {
    wanted[set_of(e)] += choice.included[e] * kTrialTokens;
    drawn[set_of(e)] += trial.counts[e];
  }
  for (std::size_t e = 0; e < weights.size(); ++e) {
    const double ratio = (wanted[set_of(e)] + 1.0) / (drawn[set_of(e)] + 1.0);
    weights[e] *= std::pow(std::clamp(ratio, 0.5, 2.0), gain);
  }
}

}  // namespace

std::vector<double> fit_grouped_weights(RouterChoice& choice, std::vector<double>& weights) {
  const std::size_t n = weights.size();
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return choice.included[a] > choice.included[b]; });
  std::vector<std::size_t> popularity_class(n);
  double mass = 0;
  for (const std::size_t e : order) {  // classes of equal traffic, so that each is measured equally well
    popularity_class[e] = std::min(kClasses - 1, static_cast<std::size_t>(mass / choice.top_k * kClasses));
    mass += choice.included[e];
  }
  RandomStream random(0, "routing/grouped");
  std::vector<double> group_variance(static_cast<std::size_t>(choice.groups()), 0.0);
  for (int round = 1; round <= kRounds; ++round) {
    choice.table = AliasTable(weights);
    const Trial trial = draw_trial(choice, random);
    for (std::size_t g = 0; g < group_variance.size(); ++g) group_variance[g] += trial.group_variance[g] / kRounds;
    const double gain = round == 1 ? 1.0 : 1.0 / (round - 1.0);
    correct(choice, trial, gain, kClasses, [&](std::size_t e) { return popularity_class[e]; }, weights);
    correct(choice, trial, gain, group_variance.size(), [&](std::size_t e) { return e / static_cast<std::size_t>(choice.group_size); }, weights);
  }
  return group_variance;
}

}  // namespace moeplan
