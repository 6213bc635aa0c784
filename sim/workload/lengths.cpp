#include "workload/lengths.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.hpp"

namespace moeplan {

std::string_view to_string(LengthKind kind) {
  switch (kind) {
    case LengthKind::kFixed: return "fixed";
    case LengthKind::kUniform: return "uniform";
    case LengthKind::kLognormal: return "lognormal";
    case LengthKind::kEmpirical: return "empirical";
    case LengthKind::kTrace: return "trace";
  }
  MOEPLAN_CHECK(false);
  return {};
}

double share_of_at_least(const LengthConfig& c, std::int64_t tokens) {
  switch (c.kind) {
    case LengthKind::kFixed: return c.value >= tokens ? 1.0 : 0.0;
    case LengthKind::kUniform: return std::clamp(static_cast<double>(c.high - tokens + 1) / static_cast<double>(c.high - c.low + 1), 0.0, 1.0);
    case LengthKind::kLognormal:
      if (tokens <= c.low) return 1;
      if (tokens > c.high) return 0;
      if (!(c.sigma > 0)) return c.median >= static_cast<double>(tokens) ? 1.0 : 0.0;
      return 0.5 * std::erfc(std::log(static_cast<double>(tokens) / c.median) / c.sigma / std::sqrt(2.0));
    case LengthKind::kEmpirical: {
      double all = 0;
      double longer = 0;
      for (const LengthBin& bin : c.bins) {
        all += bin.weight;
        if (bin.tokens >= tokens) longer += bin.weight;
      }
      return all > 0 ? longer / all : 0.0;
    }
    case LengthKind::kTrace: return 0;
  }
  MOEPLAN_CHECK(false);
  return 0;
}

double share_of_sum_at_least(const LengthConfig& a, const LengthConfig& b, std::int64_t tokens) {
  if (a.kind == LengthKind::kTrace || b.kind == LengthKind::kTrace) return 0;
  if (b.kind == LengthKind::kFixed) return share_of_at_least(a, tokens - b.value);
  constexpr int kDraws = 4096;
  const LengthSampler lengths(b);
  RandomStream random(1, "lengths/sum");
  double sum = 0;
  for (int i = 0; i < kDraws; ++i) sum += share_of_at_least(a, tokens - lengths.draw(random));
  return sum / kDraws;
}

LengthConfig LengthConfig::fixed(std::int32_t tokens) {
  LengthConfig c;
  c.kind = LengthKind::kFixed;
  c.value = tokens;
  return c;
}

LengthConfig LengthConfig::uniform(std::int32_t low, std::int32_t high) {
  LengthConfig c;
  c.kind = LengthKind::kUniform;
  c.low = low;
  c.high = high;
  return c;
}

LengthConfig LengthConfig::lognormal(double median, double sigma, std::int32_t low, std::int32_t high) {
  LengthConfig c;
  c.kind = LengthKind::kLognormal;
  c.median = median;
  c.sigma = sigma;
  c.low = low;
  c.high = high;
  return c;
}

LengthConfig LengthConfig::empirical(std::vector<LengthBin> bins) {
  LengthConfig c;
  c.kind = LengthKind::kEmpirical;
  c.bins = std::move(bins);
  return c;
}

LengthConfig LengthConfig::from_trace(std::filesystem::path file) {
  LengthConfig c;
  c.kind = LengthKind::kTrace;
  c.file = std::move(file);
  return c;
}

LengthSampler::LengthSampler(const LengthConfig& config) : kind_(config.kind), low_(config.low), high_(config.high) {
  check_lengths(config, "lengths");
  switch (kind_) {
    case LengthKind::kFixed: low_ = config.value; break;
    case LengthKind::kUniform: range_ = static_cast<std::uint32_t>(high_ - low_) + 1; break;
    case LengthKind::kLognormal:
      median_ = config.median;
      sigma_ = config.sigma;
      break;
    case LengthKind::kEmpirical: {
      double sum = 0;
      for (const LengthBin& bin : config.bins) {
        tokens_.push_back(bin.tokens);
        cumulative_.push_back(sum += bin.weight);
      }
      break;
    }
    case LengthKind::kTrace: MOEPLAN_CHECK(false); break;
  }
}

std::int32_t LengthSampler::draw_slow(RandomStream& random) const {
  if (kind_ == LengthKind::kLognormal) {
    const double x = std::floor(median_ * std::exp(sigma_ * random.normal()) + 0.5);
    return static_cast<std::int32_t>(std::clamp(x, static_cast<double>(low_), static_cast<double>(high_)));
  }
  const double x = random.uniform() * cumulative_.back();
  const auto at = std::upper_bound(cumulative_.begin(), cumulative_.end(), x) - cumulative_.begin();
  return tokens_[std::min(static_cast<std::size_t>(at), tokens_.size() - 1)];
}

namespace {

std::string accepted_tokens() { return "accepted: 1 to " + std::to_string(kMaxTokens) + " tokens"; }

void check_tokens(std::int32_t tokens, std::string_view where, std::string_view what) {
  if (tokens >= 1 && tokens <= kMaxTokens) return;
  throw InputError(where, std::string(what) + " is " + std::to_string(tokens) + "; " + accepted_tokens());
}

void check_range(const LengthConfig& config, std::string_view where) {
  check_tokens(config.low, where, "low");
  check_tokens(config.high, where, "high");
  if (config.low > config.high) {
    throw InputError(where, "low " + std::to_string(config.low) + " is above high " + std::to_string(config.high));
  }
}

}  // namespace

void check_lengths(const LengthConfig& config, std::string_view where) {
  switch (config.kind) {
    case LengthKind::kFixed: check_tokens(config.value, where, "value"); break;
    case LengthKind::kUniform: check_range(config, where); break;
    case LengthKind::kLognormal:
      check_range(config, where);
      if (!(config.median > 0 && config.median <= kMaxTokens))
        throw InputError(where, "median or mean must be a positive number of tokens");
      if (!(config.sigma >= 0 && config.sigma <= 10)) throw InputError(where, "sigma (of the logarithm) must be between 0 and 10");
      break;
    case LengthKind::kEmpirical: {
      if (config.bins.empty()) throw InputError(where, "an empirical distribution needs at least one length");
      double sum = 0;
      for (const LengthBin& bin : config.bins) {
        check_tokens(bin.tokens, where, "a length");
        if (!(bin.weight >= 0 && std::isfinite(bin.weight))) throw InputError(where, "weights must be finite and not negative");
        sum += bin.weight;
      }
      if (!(sum > 0 && std::isfinite(sum))) throw InputError(where, "the weights must add up to a positive, finite number");
      break;
    }
    case LengthKind::kTrace: break;
  }
}

double mean_tokens(const LengthConfig& c) {
  switch (c.kind) {
    case LengthKind::kFixed: return c.value;
    case LengthKind::kUniform: return 0.5 * (static_cast<double>(c.low) + c.high);
    case LengthKind::kLognormal: {
      if (c.sigma == 0) return std::clamp(c.median, static_cast<double>(c.low), static_cast<double>(c.high));
      // E[clamp(X)] = low P(X < low) + E[X; low < X < high] + high P(X > high)
      const auto below = [](double z) { return 0.5 * std::erfc(-z * 0.70710678118654752); };
      const double l = std::log(c.low / c.median) / c.sigma;
      const double h = std::log(c.high / c.median) / c.sigma;
      return c.low * below(l) + c.median * std::exp(0.5 * c.sigma * c.sigma) * (below(h - c.sigma) - below(l - c.sigma)) + c.high * below(-h);
    }
    case LengthKind::kEmpirical: {
      double sum = 0;
      double weight = 0;
      for (const LengthBin& bin : c.bins) {
        sum += bin.weight * bin.tokens;
        weight += bin.weight;
      }
      return weight > 0 ? sum / weight : 0.0;
    }
    case LengthKind::kTrace: return 0;
  }
  MOEPLAN_CHECK(false);
  return 0;
}

}  // namespace moeplan
