#include "study/compare_verdict.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

namespace moeplan {

namespace {

using Rows = std::vector<ComparedRow>;

/// But for rounding.
bool equal(double a, double b) { return std::abs(a - b) <= 1e-9 * std::abs(b); }

/// Scenarios that carry the load within the objectives, cheapest first; of equally cheap ones the one that can carry more, then the one with the shorter time
/// per output token, then as they were given.
std::vector<std::size_t> by_cost(const Rows& rows) {
  const auto rank = [](const ComparedRow& row, std::size_t i) {
    return std::tuple(*row.usd_per_million_needed, -row.capacity_per_s.value_or(0) * row.deployments_needed.value_or(1), row.tpot_p99_s.value_or(0), i);
  };
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].usd_per_million_needed) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return rank(rows[a], a) < rank(rows[b], b);
  });
  return order;
}

template <class Value>
std::optional<std::size_t> least(const Rows& rows, Value value) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (value(rows[i]) && (!best || *value(rows[i]) < *value(rows[*best]))) best = i;
  }
  return best;
}

/// Whether `b` exceeds `a` by more than both errors, shares of them, explain; half a per cent is never told.
bool beyond_noise(double a, double b, double error_a, double error_b) {
  constexpr double kNoise = 0.005;
  return b > a * (1 + std::max(kNoise, std::hypot(error_a, error_b)));
}

/// Those whose value is the least as far as noise lets that be told: one, or all that are not beyond it; the least first.
template <class Value, class Error>
std::vector<std::size_t> about_least(const Rows& rows, Value value, Error error) {
  std::vector<std::size_t> out;
  const std::optional<std::size_t> best = least(rows, value);
  if (!best) return out;
  out.push_back(*best);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i != *best && value(rows[i]) && !beyond_noise(*value(rows[*best]), *value(rows[i]), error(rows[*best]), error(rows[i]))) out.push_back(i);
  }
  return out;
}

/// "A and B", "A, B and C".
std::string names_of(const Rows& rows, const std::vector<std::size_t>& which) {
  std::string text;
  for (std::size_t k = 0; k < which.size(); ++k) text += (k == 0 ? "" : k + 1 == which.size() ? " and " : ", ") + rows[which[k]].name;
  return text;
}

std::string deployments(const ComparedRow& row) {
  const int needed = row.deployments_needed.value_or(1);
  const int gpus = needed * row.gpus;
  return fmt::format("{} {}{}", gpus, row.gpu, needed > 1 ? fmt::format(" in {} deployments", needed) : "");
}

/// A sentence names so many others at most; the table has all.
constexpr std::size_t kMostNamed = 5;
constexpr std::size_t kMostFlips = 12;

/// What the errors of capacities and runs leave open between the cheapest and what comes after it.
std::string doubt_text(const Comparison& c, const std::vector<std::size_t>& order) {
  const Rows& rows = c.rows;
  std::string text;
  const auto doubtful = [](const ComparedRow& r) { return r.fewest_needed != r.most_needed; };
  for (std::size_t k = 0; k < std::min(order.size(), kMostNamed); ++k) {
    const ComparedRow& r = rows[order[k]];
    if (!doubtful(r)) continue;
    text += fmt::format("{} may need {} to {} deployments: what one carries is known to {:.0f} %. ", r.name, r.fewest_needed, r.most_needed, kCapacityError * 100);
  }
  // The lowest and highest cost that the errors allow.
  const auto low = [&](const ComparedRow& r) { return *r.usd_per_million_needed * (doubtful(r) ? static_cast<double>(r.fewest_needed) / *r.deployments_needed : 1); };
  const auto high = [&](const ComparedRow& r) { return *r.usd_per_million_needed * (doubtful(r) ? static_cast<double>(r.most_needed) / *r.deployments_needed : 1); };
  const ComparedRow& best = rows[order[0]];
  std::vector<std::size_t> alike = {order[0]};
  for (std::size_t k = 1; k < order.size(); ++k) {
    const ComparedRow& r = rows[order[k]];
    // Clients that wait get what the run gives; else tokens per hour are the load's, and exact.
    const bool told = !c.load_per_s ? beyond_noise(*best.usd_per_million_needed, *r.usd_per_million_needed, best.noise.output_tokens, r.noise.output_tokens)
                               : !(doubtful(r) || doubtful(best)) || low(r) > high(best);
    if (!told && !equal(*best.usd_per_million_needed, *r.usd_per_million_needed)) alike.push_back(order[k]);
  }
  if (alike.size() == 1) return text;
  if (c.load_per_s) return text + fmt::format("Within that error it is not known which of {} costs least. ", names_of(rows, alike));
  return text + fmt::format("The costs of {} show no difference beyond noise. ", names_of(rows, alike));
}

std::string cost_text(const Comparison& c, const std::vector<std::size_t>& order) {
  const ComparedRow& best = c.rows[order[0]];
  std::string text =
      fmt::format("{} is the cheapest that carries {} within its objectives: {}, {:.2f} USD/h, {:.2f} USD per million output tokens",
                  best.name, c.load_per_s ? fmt::format("{:.3g} requests/s", *c.load_per_s) : "its load", deployments(best),
                  *best.usd_per_hour_needed, *best.usd_per_million_needed);
  for (std::size_t k = 1; k < std::min(order.size(), kMostNamed); ++k) {
    const ComparedRow& other = c.rows[order[k]];
    const double times = *other.usd_per_million_needed / *best.usd_per_million_needed;
    const std::string how = equal(times, 1) ? "the same"
                            : times < 1.005 ? "less than 1 % more"
                            : times < 1.95  ? fmt::format("{:.0f} % more", (times - 1) * 100)
                                           : fmt::format("{:.1f} times as much", times);
    text += fmt::format("{} {} costs {} ({})", k == 1 ? ";" : ",", other.name, how, deployments(other));
  }
  if (order.size() > kMostNamed) text += fmt::format(", {} others more", order.size() - kMostNamed);
  return text + ". " + doubt_text(c, order);
}

std::string why_out(const ComparedRow& row) {
  if (!row.fits) return "does not fit";
  if (!row.usd_per_hour) return "no price is known";
  std::string text = row.capacity_per_s.value_or(0) > 0 ? "misses the objectives under its load" : "misses the objectives at any load";
  for (const std::string& missed : row.missed) text += ", " + missed;
  return text;
}

/// A dense and a sparse model: what the sparse one trades.
std::string sparse_text(const Rows& rows, std::size_t dense, std::size_t sparse) {
  const ComparedRow& d = rows[dense];
  const ComparedRow& s = rows[sparse];
  const double memory = s.weights_bytes / d.weights_bytes;
  std::string text = fmt::format("Against dense {}, {} takes {:.2g} times the VRAM for weights", d.name, s.name, memory);
  if (s.flops_per_token && d.flops_per_token)
    text += fmt::format(" and {:.2g} times the arithmetic per token", *s.flops_per_token / *d.flops_per_token);
  if (s.batch1_tpot_s && d.batch1_tpot_s)
    text += fmt::format("; alone it gives a token every {:.1f} ms against {:.1f} ms", *s.batch1_tpot_s * 1e3, *d.batch1_tpot_s * 1e3);
  return text + ". ";
}

/// Each sparse model beside the first dense one on the same GPU, else the first dense one; of two scenarios of one model the first.
void add_sparse_texts(const Rows& rows, std::string& text) {
  const auto dense_on = [&](const std::string& gpu) {
    return std::find_if(rows.begin(), rows.end(),
                        [&](const ComparedRow& r) { return !r.moe && r.weights_bytes > 0 && (gpu.empty() || r.gpu == gpu); });
  };
  std::set<std::string> told;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].moe || !(rows[i].weights_bytes > 0)) continue;
    auto dense = dense_on(rows[i].gpu);
    if (dense == rows.end()) dense = dense_on("");
    if (dense != rows.end() && told.insert(rows[i].model).second)
      text += sparse_text(rows, static_cast<std::size_t>(dense - rows.begin()), i);
  }
}

/// Crossings that the cheapest takes part in: those of money first, then those with scenarios on the same GPU, then the rest.
void add_crossing_flips(const Comparison& c, std::size_t best, std::vector<std::string>& flips) {
  const auto rank = [&](const Crossing& crossing) {
    if (crossing.metric.starts_with("usd")) return 0;
    return c.rows[crossing.a].gpu == c.rows[crossing.b].gpu ? 1 : 2;
  };
  for (int wanted = 0; wanted < 3; ++wanted) {
    for (const Crossing& crossing : c.crossings) {
      if (crossing.a != best && crossing.b != best) continue;
      if (rank(crossing) == wanted && flips.size() < kMostFlips) flips.push_back(crossing.text);
    }
  }
}

/// The runner-up's price per GPU-hour, and the one below which it wins. What owned hardware costs is no price but an account.
std::string price_flip(const ComparedRow& best, const ComparedRow& next, double below, double now) {
  const char* what = next.owned ? "what its owner pays per GPU in use and hour" : "the price of its GPU-hour";
  if (equal(below, now)) return fmt::format("{} costs the same as {}: it becomes the cheapest when {} falls below the {:.2f} USD of now", next.name, best.name, what, now);
  const std::string limit = fmt::format("{:.2f}", below);
  if (limit == fmt::format("{:.2f}", now)) {
    return fmt::format("{} becomes the cheapest when {} falls by {:.2g} % (now {:.2f} USD), the others' costs staying", next.name, what, (1 - below / now) * 100, now);
  }
  return fmt::format("{} becomes the cheapest when {} falls below {} USD (now {:.2f}), the others' costs staying", next.name, what, limit, now);
}

/// What the runner-up's GPU-hour would have to cost, and what a relaxed objective would let in.
void add_cost_flips(const Comparison& c, const std::vector<std::size_t>& order, std::vector<std::string>& flips) {
  if (order.empty()) return;
  const ComparedRow& best = c.rows[order[0]];
  if (order.size() > 1) {
    const ComparedRow& next = c.rows[order[1]];
    const double now = *next.usd_per_hour_needed / (*next.deployments_needed * next.gpus);
    // Per token, not per hour: clients that wait get more tokens from the faster one.
    flips.push_back(price_flip(best, next, now * *best.usd_per_million_needed / *next.usd_per_million_needed, now));
  }
  for (const ComparedRow& row : c.rows) {
    if (row.usd_per_million_needed || !row.usd_per_million_output_tokens || row.missed.empty() || row.saturated) continue;
    if (*row.usd_per_million_output_tokens >= *best.usd_per_million_needed) continue;
    std::string missed;
    for (const std::string& m : row.missed) missed += (missed.empty() ? "" : ", ") + m;
    flips.push_back(fmt::format("{} would cost {:.2f} USD per million output tokens if objectives were relaxed: {}", row.name,
                                *row.usd_per_million_output_tokens, missed));
  }
}

void add_volume_flip(const Comparison& c, std::size_t best, std::vector<std::string>& flips) {
  const auto value = [](const ComparedRow& r) { return r.usd_per_million_at_capacity; };
  const auto full = least(c.rows, value);
  if (!full || *full == best || !value(c.rows[best])) return;
  if (!beyond_noise(*value(c.rows[*full]), *value(c.rows[best]), kCapacityError, kCapacityError)) {
    flips.push_back(fmt::format("at large volume, with deployments filled to their capacity, {} costs {:.2f} USD per million output tokens and {} {:.2f}: no difference beyond the error of capacities "
                                "({:.0f} %)", c.rows[*full].name, *value(c.rows[*full]), c.rows[best].name, *value(c.rows[best]), kCapacityError * 100));
    return;
  }
  flips.push_back(fmt::format(
      "at large volume, with deployments filled to their capacity, {} is the cheapest: {:.2f} USD per million output tokens against {:.2f}",
      c.rows[*full].name, *c.rows[*full].usd_per_million_at_capacity, *c.rows[best].usd_per_million_at_capacity));
}

}  // namespace

void write_verdict(Comparison& c) {
  const Rows& rows = c.rows;
  std::string text;
  if (!c.same_workload) text += "The workloads are not the same: figures at load answer different questions. ";
  const std::vector<std::size_t> order = by_cost(rows);
  if (!order.empty()) text += cost_text(c, order);
  for (const ComparedRow& row : rows) {
    if (!row.usd_per_million_needed) text += fmt::format("{} is out: {}. ", row.name, why_out(row));
  }
  const auto fastest = about_least(rows, [](const ComparedRow& r) { return r.saturated ? std::nullopt : r.tpot_p50_s; }, [](const ComparedRow& r) { return r.noise.tpot_p50; });
  if (fastest.size() == 1)
    text += fmt::format("{} has the shortest median time per output token at load ({:.1f} ms). ", rows[fastest[0]].name,
                        *rows[fastest[0]].tpot_p50_s * 1e3);
  else if (!fastest.empty())
    text += fmt::format("{} have the shortest median time per output token at load ({:.1f} ms), with no difference beyond noise. ", names_of(rows, fastest), *rows[fastest[0]].tpot_p50_s * 1e3);
  const auto frugal = about_least(rows, [](const ComparedRow& r) { return r.saturated ? std::nullopt : r.joules_per_output_token; }, [](const ComparedRow& r) { return r.noise.joules; });
  if (frugal.size() == 1)
    text +=
        fmt::format("{} takes the least energy per output token ({:.2g} J). ", rows[frugal[0]].name, *rows[frugal[0]].joules_per_output_token);
  else if (!frugal.empty())
    text += fmt::format("{} take the least energy per output token ({:.2g} J), with no difference beyond noise. ", names_of(rows, frugal), *rows[frugal[0]].joules_per_output_token);
  const auto worth = about_least(rows, [](const ComparedRow& r) { return r.usd_per_million_per_quality; }, [](const ComparedRow&) { return 0.0; });
  if (worth.size() == 1)
    text += fmt::format("Per point of the quality that you stated, {} is the cheapest ({:.3g} USD per million output tokens and point). ",
                        rows[worth[0]].name, *rows[worth[0]].usd_per_million_per_quality);
  add_sparse_texts(rows, text);
  while (!text.empty() && text.back() == ' ') text.pop_back();
  c.verdict = text;
  if (order.empty()) return;
  add_cost_flips(c, order, c.flips);
  add_volume_flip(c, order[0], c.flips);
  add_crossing_flips(c, order[0], c.flips);
}

}  // namespace moeplan
