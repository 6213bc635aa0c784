#include "suite/grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/error.hpp"
#include "base/random.hpp"

namespace moeplan::bench {
namespace {

using Sizes = std::vector<std::int64_t>;

struct Pair {
  std::int64_t n, k;
};
struct ExpertModel {
  int hidden, inter, top_k, experts;
};
struct Heads {
  int heads, kv_heads, dim;
};

class Grid {
 public:
  Grid(const Abilities& abilities, Extent extent, std::uint64_t seed)
      : abilities_(abilities), full_(extent == Extent::kFull), host_(abilities.small_device), seed_(seed) {}

  std::vector<Case> take(Op op) {
    cases_.clear();
    seen_.clear();
    const auto formats = abilities_.formats.find(op);
    if (formats == abilities_.formats.end()) return {};
    for (const std::string& format : formats->second) add(op, format);
    return std::move(cases_);
  }

 private:
  void add(Op op, const std::string& format) {
    switch (op) {
      case Op::kCopy: return copies(format);
      case Op::kLaunch: return launches(format);
      case Op::kGemm: return products(format);
      case Op::kMoe: return experts(format);
      case Op::kRouter: return routers(format);
      case Op::kAttentionDecode: return decodes(format);
      case Op::kMlaDecode: return latent_decodes(format);
      case Op::kAttentionPrefill: return prefills(format);
      case Op::kCollective: return collectives(format);
      case Op::kElementwise: return elementwise(format);
    }
  }

  template <class... Values>
  void put(Op op, const Values&... values) {
    Case c{op, {fmt::format("{}", values)...}};
    MOEPLAN_CHECK(c.values.size() == info(op).columns.size());
    if (work_of(c).bytes > 0.4 * abilities_.memory_bytes) return;
    if (seen_.insert(c.key()).second) cases_.push_back(std::move(c));
  }

  /// Powers of `step` from `low` to `high`, both included.
  static Sizes powers(std::int64_t low, std::int64_t high, std::int64_t step) {
    Sizes sizes;
    for (std::int64_t x = low; x < high; x *= step) sizes.push_back(x);
    sizes.push_back(high);
    return sizes;
  }

  void copies(const std::string& format) {
    const std::int64_t largest = host_ ? (std::int64_t{256} << 20) : (std::int64_t{4} << 30);
    const Sizes sizes = powers(1 << 16, largest, full_ ? 2 : 8);
    for (const char* op : {"read", "copy"}) {
      for (const std::int64_t bytes : sizes) put(Op::kCopy, op, "0", "0", bytes, format);
    }
    if (host_) return;
    for (const std::int64_t bytes : powers(1 << 12, std::int64_t{1} << 28, full_ ? 4 : 16)) {
      put(Op::kCopy, "h2d", "host", "0", bytes, format);
      put(Op::kCopy, "d2h", "0", "host", bytes, format);
      put(Op::kCopy, "both_ways", "host", "0", bytes, format);
    }
    for (int from = 0; from < abilities_.devices; ++from) {
      for (int to = 0; to < abilities_.devices; ++to) {
        if (from == to) continue;
        for (const std::int64_t bytes : powers(1 << 12, std::int64_t{1} << 28, full_ ? 16 : 256)) put(Op::kCopy, "peer", from, to, bytes, format);
      }
    }
  }

  void launches(const std::string& format) {
    for (const int kernels : {1, 16, 128}) {
      put(Op::kLaunch, "launch", kernels, format);
      if (!host_) put(Op::kLaunch, "graph", kernels, format);
    }
  }

  void products(const std::string& format) {
    const bool leading = format == abilities_.formats.at(Op::kGemm).front();
    Sizes rows = host_ ? Sizes{1, 4, 5, 8, 9, 12, 13, 16, 17, 24, 32, 33, 64, 128, 256} : Sizes{1, 4, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
    if (full_) rows = host_ ? Sizes{1, 2, 4, 5, 8, 9, 12, 13, 16, 17, 24, 25, 32, 33, 48, 64, 96, 128, 129, 192, 256, 512}
                            : Sizes{1, 2, 4, 8, 15, 16, 17, 24, 32, 48, 63, 64, 65, 96, 127, 128, 129, 192, 256, 257, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192};
    for (const Pair& pair : full_ || leading ? product_pairs() : few_pairs()) {
      for (const std::int64_t m : rows) {
        // A tenth of the grid takes nine tenths of the time: large rows on large matrices only where the whole grid is asked for.
        const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(pair.n) * static_cast<double>(pair.k);
        if (flops > (host_ ? (full_ ? 2e10 : 5e9) : (full_ ? 2e13 : 4e12))) continue;
        put(Op::kGemm, m, pair.n, pair.k, format);
      }
    }
  }

  [[nodiscard]] std::vector<Pair> product_pairs() const {
    if (host_) {
      std::vector<Pair> pairs = {{16, 1024}, {64, 2048}, {512, 512}, {1024, 512}, {512, 1024}, {1024, 1024}, {2048, 1024}, {1536, 1024}, {1024, 2048},
                                 {2048, 2048}, {4096, 1024}, {8192, 1024}, {1024, 4096}};
      if (full_) {
        pairs.insert(pairs.end(), {{256, 256}, {32, 512}, {256, 1024}, {1024, 256}, {3072, 1024}, {1024, 3072}, {4096, 2048}, {2048, 4096}, {4096, 4096},
                                   {16384, 1024}, {32000, 1024}, {768, 768}, {2304, 768}, {3072, 768}, {768, 3072}});
      }
      return pairs;
    }
    std::vector<Pair> pairs;
    const Sizes sides = full_ ? Sizes{256, 512, 1024, 1536, 2048, 3072, 4096, 5120, 6144, 7168, 8192, 12288, 14336, 16384, 18432, 28672} : Sizes{512, 1024, 2048, 4096, 8192, 16384};
    for (const std::int64_t n : sides) {
      for (const std::int64_t k : sides) {
        if (n * k <= std::int64_t{16384} * 8192) pairs.push_back({n, k});
      }
    }
    for (const Pair& extra : {Pair{128, 4096}, Pair{256, 7168}, Pair{8, 4096}, Pair{32000, 4096}, Pair{129280, 7168}, Pair{151936, 4096}}) pairs.push_back(extra);
    return pairs;
  }

  [[nodiscard]] std::vector<Pair> few_pairs() const {
    if (host_) return {{1024, 512}, {1024, 1024}, {2048, 1024}, {1024, 2048}};
    return {{1024, 4096}, {4096, 1024}, {4096, 4096}, {8192, 4096}, {4096, 8192}, {14336, 4096}, {4096, 14336}, {7168, 2048}, {2048, 7168}};
  }

  [[nodiscard]] std::vector<ExpertModel> expert_models() const {
    if (host_) {
      std::vector<ExpertModel> models = {{512, 512, 2, 8}, {1024, 512, 2, 16}, {1024, 256, 4, 32}, {2048, 1024, 2, 8}};
      if (full_) models.insert(models.end(), {{512, 1024, 2, 16}, {1024, 1024, 2, 8}, {768, 256, 8, 64}, {2048, 512, 4, 16}});
      return models;
    }
    std::vector<ExpertModel> models = {{4096, 14336, 2, 8}, {2048, 768, 8, 128}, {7168, 2048, 8, 32}, {2880, 2880, 4, 32}};
    if (full_) {
      models.insert(models.end(), {{2048, 1408, 6, 64}, {4096, 1536, 8, 128}, {6144, 10752, 4, 16}, {6144, 16384, 2, 8}, {5120, 1536, 6, 160}, {4096, 1536, 8, 16},
                                   {7168, 2048, 8, 256}, {2048, 1024, 8, 64}, {2048, 512, 10, 512}});
    }
    return models;
  }

  void experts(const std::string& format) {
    Sizes tokens = host_ ? powers(1, 256, 2) : powers(1, 4096, 4);
    if (full_) tokens = host_ ? Sizes{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512} : powers(1, 16384, 2);
    for (const ExpertModel& model : expert_models()) {
      for (const std::int64_t count : tokens) {
        expert_case(model, count, true, format);
        if (count >= 8 && (full_ || count <= 64)) expert_case(model, count, false, format);
      }
    }
  }

  void expert_case(const ExpertModel& model, std::int64_t tokens, bool balanced, const std::string& format) {
    const std::vector<int> chosen = assign_experts(tokens, model.top_k, model.experts, balanced, seed_);
    std::vector<double> load(static_cast<std::size_t>(model.experts), 0);
    for (const int expert : chosen) ++load[static_cast<std::size_t>(expert)];
    const auto pairs = static_cast<double>(chosen.size());
    const double mean = pairs / model.experts;
    double variance = 0;
    for (const double x : load) variance += (x - mean) * (x - mean) / model.experts;
    const auto touched = std::count_if(load.begin(), load.end(), [](double x) { return x > 0; });
    // Balanced rows count as even even where there are fewer pairs than experts, as in the carried-over tables.
    const std::string load_cv = balanced ? "0" : fmt::format("{:.4f}", std::sqrt(variance) / mean);
    put(Op::kMoe, tokens, model.hidden, model.inter, model.top_k, model.experts, 1, 1, chosen.size(), touched, load_cv, balanced ? "balanced" : "uneven",
        format);
  }

  void routers(const std::string& format) {
    for (const ExpertModel& model : expert_models()) {
      for (const std::int64_t tokens : host_ ? powers(1, 256, full_ ? 4 : 16) : powers(1, 4096, full_ ? 4 : 16)) {
        for (const char* op : {"softmax_topk", "permute", "unpermute"}) put(Op::kRouter, op, tokens, model.hidden, model.experts, model.top_k, format);
      }
    }
  }

  void decodes(const std::string& format) {
    std::vector<Heads> layouts = host_ ? std::vector<Heads>{{16, 4, 64}, {8, 8, 64}, {32, 8, 128}} : std::vector<Heads>{{32, 8, 128}, {16, 2, 128}, {8, 1, 128}, {32, 32, 128}};
    Sizes batches = host_ ? Sizes{1, 4, 16, 32} : Sizes{1, 8, 32, 128, 512};
    Sizes lengths = host_ ? Sizes{64, 256, 1024} : Sizes{128, 512, 2048, 8192, 32768};
    if (full_) {
      batches = host_ ? Sizes{1, 2, 4, 8, 16, 32, 64} : powers(1, 1024, 2);
      lengths = host_ ? Sizes{16, 64, 128, 256, 512, 1024, 2048, 4096} : powers(16, 131072, 2);
      if (!host_) layouts.insert(layouts.end(), {{64, 8, 128}, {4, 1, 128}, {64, 8, 64}, {8, 1, 64}, {40, 8, 128}});
    }
    for (const Heads& h : layouts) {
      for (const std::int64_t batch : batches) {
        for (const std::int64_t length : lengths) {
          if (batch * length > (host_ ? 65536 : std::int64_t{1} << 22)) continue;
          put(Op::kAttentionDecode, batch, length, h.heads, h.kv_heads, h.dim, product_format(format), format);
        }
      }
    }
  }

  void latent_decodes(const std::string& format) {
    const Sizes batches = host_ ? Sizes{1, 4, 16} : (full_ ? powers(1, 512, 2) : Sizes{1, 8, 32, 128});
    const Sizes lengths = host_ ? Sizes{64, 256, 1024} : (full_ ? powers(64, 65536, 2) : Sizes{256, 1024, 4096, 16384});
    for (const int heads : host_ ? std::vector<int>{8, 16} : std::vector<int>{16, 32, 64, 128}) {
      for (const std::int64_t batch : batches) {
        for (const std::int64_t length : lengths) {
          if (batch * length * heads > (host_ ? 1 << 17 : std::int64_t{1} << 28)) continue;
          put(Op::kMlaDecode, batch, length, heads, product_format(format), format);
        }
      }
    }
  }

  void prefills(const std::string& format) {
    const std::vector<Heads> layouts = host_ ? std::vector<Heads>{{16, 4, 64}, {8, 8, 64}} : std::vector<Heads>{{32, 8, 128}, {16, 2, 128}, {8, 1, 128}};
    const Sizes queries = host_ ? (full_ ? Sizes{8, 16, 32, 64, 128, 256, 512, 1024} : Sizes{16, 64, 128, 256, 512}) : (full_ ? powers(16, 16384, 2) : powers(64, 8192, 4));
    const Sizes prefixes = host_ ? Sizes{0, 256} : Sizes{0, 2048, 16384};
    for (const Heads& h : layouts) {
      for (const std::int64_t prefix : prefixes) {
        for (const std::int64_t q : queries) put(Op::kAttentionPrefill, 1, q, prefix, h.heads, h.kv_heads, h.dim, product_format(format), format);
      }
      if (host_) continue;
      for (const std::int64_t q : queries) {
        if (q <= 2048) put(Op::kAttentionPrefill, 8, q, 0, h.heads, h.kv_heads, h.dim, product_format(format), format);
      }
    }
  }

  void collectives(const std::string& format) {
    for (int ranks = 2; ranks <= abilities_.devices; ranks *= 2) {
      for (const char* op : {"all_reduce", "all_gather", "reduce_scatter", "all_to_all"}) {
        for (const std::int64_t bytes : powers(1 << 10, std::int64_t{1} << 29, full_ ? 2 : 8)) put(Op::kCollective, op, ranks, bytes, format);
      }
    }
  }

  /// Host: heads of 64 elements, a KV head for four of them, an FFN as wide as the stream. A GPU's rows are so long that starting the kernels is a small part.
  void elementwise(const std::string& format) {
    const std::int64_t dim = host_ ? 64 : 128;
    for (const std::int64_t hidden : host_ ? (full_ ? Sizes{512, 1024, 2048, 4096} : Sizes{1024, 2048}) : (full_ ? Sizes{2048, 4096, 8192} : Sizes{4096})) {
      const std::int64_t heads = hidden / dim, kv_heads = heads / 4;
      // As the cost model counts: per norm two vectors read and two written; queries, keys and values read and written; gate and up read, one written.
      const std::int64_t each = 2 * (2 * 4 * hidden + 2 * (heads + 2 * kv_heads) * dim + 3 * hidden);
      for (const std::int64_t tokens : host_ ? powers(1, 256, full_ ? 2 : 4) : powers(1024, 16384, full_ ? 2 : 4)) {
        put(Op::kElementwise, tokens, hidden, heads, kv_heads, dim, hidden, tokens * each, format);
      }
    }
  }

  /// Queries are 16 bit wide whatever the cache; fp32 where the cache is.
  static std::string product_format(const std::string& kv) { return kv == "fp32" ? kv : "bf16"; }

  const Abilities& abilities_;
  bool full_, host_;
  std::uint64_t seed_;
  std::vector<Case> cases_;
  std::set<std::string> seen_;
};

}  // namespace

std::vector<Case> make_grid(const Abilities& abilities, const std::vector<Op>& ops, Extent extent, std::uint64_t seed) {
  Grid grid(abilities, extent, seed);
  std::vector<Case> all;
  for (const Op op : ops) {
    for (Case& c : grid.take(op)) all.push_back(std::move(c));
  }
  return all;
}

std::vector<int> assign_experts(std::int64_t tokens, int top_k, int experts, bool balanced, std::uint64_t seed, int round) {
  MOEPLAN_CHECK(top_k >= 1 && top_k <= experts);
  std::vector<int> chosen;
  if (balanced) {
    for (std::int64_t pair = 0; pair < tokens * top_k; ++pair) chosen.push_back(static_cast<int>((pair + static_cast<std::int64_t>(round) * tokens * top_k) % experts));
    return chosen;
  }
  RandomStream random(seed, "microbench/experts", static_cast<std::uint64_t>(tokens * 4096 + experts));
  std::vector<double> up_to(static_cast<std::size_t>(experts));
  double sum = 0;
  for (double& x : up_to) x = sum += std::exp(random.normal());
  for (std::int64_t token = 0; token < tokens; ++token) {
    const auto first = static_cast<std::ptrdiff_t>(chosen.size());
    // An expert that the token has already is drawn again: the same as drawing among those left.
    while (static_cast<std::ptrdiff_t>(chosen.size()) < first + top_k) {
      const auto at = std::upper_bound(up_to.begin(), up_to.end() - 1, random.uniform() * sum) - up_to.begin();
      const int expert = (static_cast<int>(at) + round) % experts;
      if (std::find(chosen.begin() + first, chosen.end(), expert) == chosen.end()) chosen.push_back(expert);
    }
  }
  return chosen;
}

}  // namespace moeplan::bench
