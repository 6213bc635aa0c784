// Probabilities from few trials, ranked by what foretells them.
#include "study/verdict_ranks.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/random.hpp"
#include "routing/count_sampler.hpp"

using namespace moeplan;

namespace {

/// 2,000 cases with normal scores in random order; a yes where score + noise lies below `threshold`.
struct Cases {
  Cases(double threshold, double noise, std::uint64_t seed) {
    RandomStream random(seed, "cases");
    const auto normal = [&] { return normal_quantile(std::clamp(random.uniform(), 1e-9, 1 - 1e-9)); };
    for (int i = 0; i < 2000; ++i) {
      scores.push_back(normal());
      answers.push_back(scores.back() + noise * normal() < threshold);
    }
  }
  [[nodiscard]] double share() const { return static_cast<double>(std::count(answers.begin(), answers.end(), true)) / static_cast<double>(answers.size()); }
  std::vector<double> scores;
  std::vector<bool> answers;
};

VerdictRanks::Estimate estimated(const Cases& cases, std::size_t trials) {
  VerdictRanks ranks(cases.scores);
  while (ranks.tried() < trials) {
    for (const std::size_t k : ranks.next(8)) ranks.add(k, cases.answers[k]);
  }
  return ranks.estimate();
}

/// Root mean squares over 20 sets of cases: of the error, and of what is said of it.
std::array<double, 2> errors(double threshold, double noise) {
  double off = 0, said = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Cases cases(threshold, noise, seed);
    const auto [probability, error] = estimated(cases, 64);
    off += std::pow(probability - cases.share(), 2) / 20;
    said += error * error / 20;
  }
  return {std::sqrt(off), std::sqrt(said)};
}

}  // namespace

TEST_CASE("64 trials ranked by a good score are as sharp as a thousand plain ones") {
  // 76 %; 64 plain draws: sqrt(0.76 x 0.24 / 64) = 5.3 points, 1,000: 1.35.
  const auto [off, said] = errors(0.71, 0.1);
  CHECK(off < 0.0135);
  CHECK(said < 0.02);
  CHECK(said > 0.5 * off);
}

TEST_CASE("a score that foretells nothing gives the error of plain draws, and says so") {
  const auto [off, said] = errors(7.1, 10);  // 76 %
  CHECK(off < 0.08);
  CHECK(said > 0.03);
  CHECK(said < 0.08);
}

TEST_CASE("trials go where the answer is in doubt, and none twice") {
  const Cases cases(0.71, 0, 1);
  VerdictRanks ranks(cases.scores);
  std::set<std::size_t> seen;
  const auto next = [&](std::size_t count) {
    const auto which = ranks.next(count);
    for (const std::size_t k : which) CHECK(seen.insert(k).second);
    for (const std::size_t k : which) ranks.add(k, cases.answers[k]);
    return which;
  };
  const auto first = next(16);
  REQUIRE(first.size() == 16);
  // Spread: a sixteenth of the ranks each.
  CHECK(std::count_if(first.begin(), first.end(), [&](std::size_t k) { return cases.scores[k] < 0; }) == 8);
  next(16);
  const auto later = next(8);
  for (const std::size_t k : later) CHECK(std::abs(cases.scores[k] - 0.71) < 0.7);
}

TEST_CASE("the same answer to everything is nearly sure, and surer with more trials") {
  VerdictRanks ranks(std::vector<double>(200, 0.0));
  double last = 0;
  for (int round = 0; round < 4; ++round) {
    for (const std::size_t k : ranks.next(8)) ranks.add(k, true);
    const auto [probability, error] = ranks.estimate();
    CHECK(probability > last);
    CHECK(probability < 1);
    CHECK(probability + 2 * error > 0.99);
    last = probability;
  }
  CHECK(last > 0.98);
}

TEST_CASE("all cases tried give their share") {
  const Cases cases(0.3, 0.5, 4);
  Cases few = cases;
  few.scores.resize(40);
  few.answers.resize(40);
  VerdictRanks ranks(few.scores);
  for (std::size_t tried = 0; tried < 40; tried = ranks.tried()) {
    for (const std::size_t k : ranks.next(8)) ranks.add(k, few.answers[k]);
  }
  CHECK(ranks.next(8).empty());
  CHECK(ranks.estimate().probability == doctest::Approx(few.share()).epsilon(0.1));
}
