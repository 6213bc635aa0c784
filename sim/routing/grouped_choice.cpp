#include "routing/grouped_choice.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/random.hpp"
#include "routing/token_sampler.hpp"

namespace moeplan {
namespace {

constexpr int kTrialTokens = 5000;
constexpr int kRounds = 7;
constexpr int kRoundsMore = 3;  // from the corrections of an earlier layer
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
  std::array<int, kMostGroups> chosen{};  // by one token
  std::array<std::int64_t, kMostGroups> sum{};
  std::array<std::int64_t, kMostGroups> squares{};
  draws.draw(kTrialTokens, [&](const std::uint16_t* experts) {
    for (int i = 0; i < choice.top_k; ++i) {
      const std::uint16_t expert = experts[i];
      const std::uint8_t group = choice.group_of[expert];
      ++trial.counts[expert];
      ++sum[group];
      squares[group] += 2 * chosen[group]++ + 1;
    }
    for (int i = 0; i < choice.top_k; ++i) chosen[choice.group_of[experts[i]]] = 0;
  });
  for (std::size_t g = 0; g < groups; ++g) {
    const double mean = static_cast<double>(sum[g]) / kTrialTokens;
    trial.group_variance.push_back(static_cast<double>(squares[g]) / kTrialTokens - mean * mean);
  }
  return trial;
}

/// Logarithm of the correction of each set of experts: wanted / drawn, less what may be noise of the trial.
template <class SetOf>
std::vector<double> corrections(const RouterChoice& choice, const Trial& trial, double gain, std::size_t sets, SetOf set_of) {
  std::vector<double> wanted(sets, 0.0);
  std::vector<double> drawn(sets, 0.0);
  for (std::size_t e = 0; e < choice.included.size(); ++e) {
    wanted[set_of(e)] += choice.included[e] * kTrialTokens;
    drawn[set_of(e)] += trial.counts[e];
  }
  std::vector<double> factor(sets);
  for (std::size_t i = 0; i < sets; ++i) {
    const double off = std::log((wanted[i] + 1.0) / (drawn[i] + 1.0));
    const double noise = 1.5 / (drawn[i] + 1.0);
    factor[i] = gain * std::clamp(off * std::max(0.0, 1.0 - noise / std::max(off * off, 1e-12)), -0.7, 0.7);
  }
  return factor;
}

/// Class of each expert by popularity, the classes of equal traffic, so that each is measured equally well.
std::vector<std::size_t> popularity_classes(const RouterChoice& choice) {
  std::vector<std::size_t> order(choice.included.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return choice.included[a] > choice.included[b]; });
  std::vector<std::size_t> class_of(order.size());
  double mass = 0;
  for (const std::size_t e : order) {
    class_of[e] = std::min(kClasses - 1, static_cast<std::size_t>(mass / choice.top_k * kClasses));
    mass += choice.included[e];
  }
  return class_of;
}

/// Logarithm of each group's share of the choices over the mean group's.
std::vector<double> group_shares(const RouterChoice& choice) {
  std::vector<double> shares(static_cast<std::size_t>(choice.groups()), 0.0);
  for (std::size_t e = 0; e < choice.included.size(); ++e) shares[choice.group_of[e]] += choice.included[e];
  for (double& share : shares) share = std::log(share / choice.top_k * choice.groups());
  return shares;
}

/// Slope of y over x, through the origin.
double slope(const std::vector<double>& x, const std::vector<double>& y) {
  const double xx = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
  return xx > 0 ? std::inner_product(x.begin(), x.end(), y.begin(), 0.0) / xx : 0.0;
}

}  // namespace

std::vector<double> fit_grouped_weights(RouterChoice& choice, std::vector<double>& weights, GroupedCorrection& learnt) {
  const bool first = learnt.by_class.empty();
  const int rounds = first ? kRounds : kRoundsMore;
  const std::vector<std::size_t> class_of = popularity_classes(choice);
  const std::vector<double> share = group_shares(choice);
  const std::vector<double> unfitted = weights;
  std::vector<double> by_class = first ? std::vector<double>(kClasses, 0.0) : learnt.by_class;
  std::vector<double> by_group = share;
  for (double& g : by_group) g *= learnt.by_group_share;
  RandomStream random(0, "routing/grouped");
  std::vector<double> group_variance(share.size(), 0.0);
  const auto apply = [&] {
    for (std::size_t e = 0; e < weights.size(); ++e) weights[e] = unfitted[e] * std::exp(by_class[class_of[e]] + by_group[choice.group_of[e]]);
  };
  apply();
  for (int round = 1; round <= rounds; ++round) {
    choice.table = AliasTable(weights);
    const Trial trial = draw_trial(choice, random);
    for (std::size_t g = 0; g < group_variance.size(); ++g) group_variance[g] += trial.group_variance[g] / rounds;
    const int settled = round - (first ? 3 : 0);
    const double gain = settled <= 1 ? 1.2 : 1.2 / settled;
    const auto add = [](std::vector<double>& to, const std::vector<double>& more) {
      for (std::size_t i = 0; i < to.size(); ++i) to[i] += more[i];
    };
    add(by_class, corrections(choice, trial, gain, kClasses, [&](std::size_t e) { return class_of[e]; }));
    add(by_group, corrections(choice, trial, gain, share.size(), [&](std::size_t e) { return std::size_t{choice.group_of[e]}; }));
    apply();
  }
  if (first) learnt = {by_class, slope(share, by_group)};
  return group_variance;
}

}  // namespace moeplan
