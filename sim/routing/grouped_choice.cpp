#include "routing/grouped_choice.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.hpp"
#include "routing/token_sampler.hpp"

namespace moeplan {
namespace {

constexpr int kTrialTokens = 5000;
constexpr int kRounds = 7;
constexpr std::size_t kClasses = 12;  // experts of similar popularity are corrected together, to average the noise of the trials

struct Trial {
  std::vector<std::int32_t> counts;
  std::vector<double> group_variance;
};

Trial draw_trial(const RouterChoice& choice, RandomStream& random) {
  const auto groups = static_cast<std::size_t>(choice.groups());
  Trial trial;
  trial.counts.assign(choice.included.size(), 0);
  TokenDraws draws(choice, random);
  std::vector<double> chosen(groups);
  std::vector<double> sum(groups, 0.0);
  std::vector<double> squares(groups, 0.0);
  draws.draw(kTrialTokens, [&](const std::uint16_t* experts) {
    std::fill(chosen.begin(), chosen.end(), 0.0);
    for (int i = 0; i < choice.top_k; ++i) {
      ++trial.counts[experts[i]];
      ++chosen[choice.group_of[experts[i]]];
    }
    for (std::size_t g = 0; g < groups; ++g) {
      sum[g] += chosen[g];
      squares[g] += chosen[g] * chosen[g];
    }
  });
  for (std::size_t g = 0; g < groups; ++g) trial.group_variance.push_back(squares[g] / kTrialTokens - std::pow(sum[g] / kTrialTokens, 2));
  return trial;
}

/// Multiplies the weights of each set of experts by (wanted / drawn)^gain, less what may be noise of the trial.
template <class SetOf>
void correct(const RouterChoice& choice, const Trial& trial, double gain, std::size_t sets, SetOf set_of, std::vector<double>& weights) {
  std::vector<double> wanted(sets, 0.0);
  std::vector<double> drawn(sets, 0.0);
  for (std::size_t e = 0; e < weights.size(); ++e) {
    wanted[set_of(e)] += choice.included[e] * kTrialTokens;
    drawn[set_of(e)] += trial.counts[e];
  }
  std::vector<double> factor(sets);
  for (std::size_t i = 0; i < sets; ++i) {
    const double off = std::log((wanted[i] + 1.0) / (drawn[i] + 1.0));
    const double noise = 1.5 / (drawn[i] + 1.0);
    factor[i] = std::exp(gain * std::clamp(off * std::max(0.0, 1.0 - noise / std::max(off * off, 1e-12)), -0.7, 0.7));
  }
  for (std::size_t e = 0; e < weights.size(); ++e) weights[e] *= factor[set_of(e)];
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
    const double gain = round <= 3 ? 1.2 : 1.2 / (round - 2.0);
    correct(
        choice, trial, gain, kClasses, [&](std::size_t e) { return popularity_class[e]; }, weights);
    correct(
        choice, trial, gain, group_variance.size(), [&](std::size_t e) { return e / static_cast<std::size_t>(choice.group_size); },
        weights);
  }
  return group_variance;
}

}  // namespace moeplan
