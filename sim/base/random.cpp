#include "base/random.hpp"

#include <Random123/philox.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace moeplan {

std::uint64_t stable_hash(std::string_view text) {
  std::uint64_t h = 0xcbf29ce484222325ULL;
  for (const char c : text) {
    h ^= static_cast<unsigned char>(c);
    h *= 0x100000001b3ULL;
  }
  return h;
}

RandomStream::RandomStream(std::uint64_t seed, std::string_view purpose, std::uint64_t index) {
  const std::uint64_t purpose_hash = stable_hash(purpose);
  key_ = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32) ^ static_cast<std::uint32_t>(purpose_hash >> 32)};
  counter_ = {0, static_cast<std::uint32_t>(purpose_hash), static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32)};
}

void RandomStream::refill() {
  r123::Philox4x32_R<10>::ctr_type counter = {{counter_[0], counter_[1], counter_[2], counter_[3]}};
  r123::Philox4x32_R<10>::key_type key = {{key_[0], key_[1]}};
  const auto out = r123::Philox4x32_R<10>()(counter, key);
  for (unsigned i = 0; i < 4; ++i) block_[i] = out[i];
  used_ = 0;
  if (++counter_[0] == 0) ++key_[1];  // 2^34 numbers later: a fresh key rather than a repeat
}

std::uint32_t RandomStream::below(std::uint32_t n) {
  MOEPLAN_CHECK(n > 0);
  std::uint64_t product = static_cast<std::uint64_t>(bits32()) * n;
  auto low = static_cast<std::uint32_t>(product);
  if (low < n) {
    const std::uint32_t threshold = (0U - n) % n;
    while (low < threshold) {
      product = static_cast<std::uint64_t>(bits32()) * n;
      low = static_cast<std::uint32_t>(product);
    }
  }
  return static_cast<std::uint32_t>(product >> 32);
}

double RandomStream::exponential() { return -std::log(uniform_positive()); }

double RandomStream::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_normal_;
  }
  double u = 0;
  double v = 0;
  double s = 0;
  do {
    u = 2.0 * uniform() - 1.0;
    v = 2.0 * uniform() - 1.0;
    s = u * u + v * v;
  } while (s >= 1.0 || s == 0.0);
  const double m = std::sqrt(-2.0 * std::log(s) / s);
  spare_normal_ = v * m;
  has_spare_ = true;
  return u * m;
}

double RandomStream::gamma(double shape) {
  MOEPLAN_CHECK(shape > 0);
  if (shape < 1.0) return gamma(shape + 1.0) * std::pow(uniform_positive(), 1.0 / shape);
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = normal();
    const double base = 1.0 + c * x;
    if (base <= 0) continue;
    const double v = base * base * base;
    const double u = uniform_positive();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

std::int64_t RandomStream::binomial(std::int64_t n, double p) {
  MOEPLAN_CHECK(n >= 0 && p >= 0 && p <= 1);
  if (n == 0 || p == 0) return 0;
  if (p > 0.5) return n - binomial(n, 1.0 - p);
  const double mean = static_cast<double>(n) * p;
  if (mean > 30.0) {
    const double x = std::floor(mean + std::sqrt(mean * (1.0 - p)) * normal() + 0.5);
    return static_cast<std::int64_t>(std::clamp(x, 0.0, static_cast<double>(n)));
  }
  const double ratio = p / (1.0 - p);
  double probability = std::exp(static_cast<double>(n) * std::log1p(-p));
  double u = uniform();
  std::int64_t k = 0;
  while (u > probability && k < n) {
    u -= probability;
    ++k;
    probability *= ratio * static_cast<double>(n - k + 1) / static_cast<double>(k);
  }
  return k;
}

}  // namespace moeplan
