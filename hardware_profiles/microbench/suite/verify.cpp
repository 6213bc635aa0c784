#include "suite/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.hpp"
#include "base/random.hpp"
#include "suite/numerics.hpp"
#include "suite/reference.hpp"

namespace moeplan::bench {

const std::string& format_of(const Case& c) { return c.text(info(c.op).columns.back()); }

namespace {

double tolerance_of(const Case& c) {
  const std::string& format = format_of(c);
  if (c.op == Op::kRouter && c.text("op") == "softmax_topk") return 2e-5;
  if (c.op == Op::kMoe && format == "fp8") return 5e-2;  // what lies between the two products is rounded to three bits
  if (c.op == Op::kMoe && format == "nvfp4") return 0.25;  // inputs and what lies between the products are rounded to one bit under scales of three
  if (format == "fp32") return 2e-5;
  if (format == "int8") return 1e-6;
  if (format == "bf16" || format == "fp16") return 6e-3;
  return 1.2e-2;  // operands are exact in fp8 and fp4; results are bf16
}

float rounded(float x, const std::string& format) {
  if (format == "fp32") return x;
  if (format == "int8") return std::round(x * 100);
  if (format == "fp8") return from_e4m3(to_e4m3(x));
  if (format == "nvfp4" || format == "mxfp4") return from_e2m1(to_e2m1(4 * x));
  return from_bf16(to_bf16(x));
}

class Values {
 public:
  explicit Values(std::uint64_t seed) : random_(seed, "microbench/verify") {}
  std::vector<float> take(std::int64_t count, const std::string& format, double scale = 1) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& x : values) x = rounded(static_cast<float>((2 * random_.uniform() - 1) * scale), format);
    return values;
  }
  /// Unsigned 8 bit: what int8 kernels multiply signed weights with.
  std::vector<float> bytes(std::int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& x : values) x = static_cast<float>(random_.below(256));
    return values;
  }

 private:
  RandomStream random_;
};

int dimension(const Case& c, std::string_view column) { return static_cast<int>(c.integer(column)); }

}  // namespace

std::vector<Case> verification_cases(Op op, const std::string& f) {
  const std::string product = f == "fp32" ? f : "bf16";
  switch (op) {
    case Op::kGemm: return {{op, {"5", "48", "96", f}}, {op, {"1", "64", "32", f}}, {op, {"33", "128", "160", f}}};
    case Op::kMoe:
      return {{op, {"7", "64", "32", "2", "8", "1", "1", "14", "8", "0", "balanced", f}}, {op, {"40", "64", "96", "3", "8", "1", "1", "120", "8", "0.5", "uneven", f}}};
    case Op::kRouter:
      return {{op, {"softmax_topk", "9", "64", "16", "4", f}}, {op, {"permute", "9", "64", "16", "4", f}}, {op, {"unpermute", "70", "64", "16", "2", f}}};
    case Op::kAttentionDecode: return {{op, {"3", "37", "8", "2", "64", product, f}}, {op, {"1", "16", "6", "2", "128", product, f}}, {op, {"2", "300", "4", "4", "64", product, f}}};
    case Op::kMlaDecode: return {{op, {"2", "37", "16", product, f}}};
    case Op::kAttentionPrefill: return {{op, {"1", "37", "0", "8", "2", "64", product, f}}, {op, {"1", "5", "20", "4", "4", "128", product, f}}};
    case Op::kElementwise: return {{op, {"5", "64", "2", "1", "32", "64", "0", f}}, {op, {"3", "96", "2", "1", "32", "64", "0", f}}};
    case Op::kCopy:
    case Op::kLaunch:
    case Op::kCollective: break;
  }
  return {};
}

Problem make_problem(const Case& c, std::uint64_t seed) {
  Values values(seed);
  Problem p{c, {}, {}};
  const std::string& f = format_of(c);
  switch (c.op) {
    case Op::kGemm: {
      const std::int64_t m = c.integer("m"), n = c.integer("n"), k = c.integer("k");
      p.operands = {f == "int8" ? values.bytes(m * k) : values.take(m * k, f), values.take(n * k, f)};
      break;
    }
    case Op::kMoe: {
      const int tokens = dimension(c, "tokens"), hidden = dimension(c, "hidden"), inter = dimension(c, "inter"), experts = dimension(c, "experts");
      p.experts = assign_experts(tokens, dimension(c, "top_k"), experts, c.text("routing") == "balanced", seed);
      p.operands = {values.take(std::int64_t{tokens} * hidden, f), values.take(static_cast<std::int64_t>(p.experts.size()), "fp32", 0.5),
                    values.take(std::int64_t{2} * experts * inter * hidden, f, 0.3), values.take(std::int64_t{experts} * inter * hidden, f, 0.3)};
      break;
    }
    case Op::kRouter:
      p.operands = {values.take(c.integer("tokens") * c.integer("experts"), "fp32", 3), values.take(c.integer("tokens") * c.integer("hidden"), f)};
      break;
    case Op::kAttentionDecode:
    case Op::kAttentionPrefill: {
      const bool decodes = c.op == Op::kAttentionDecode;
      const std::int64_t queries = decodes ? 1 : c.integer("q_len"), tokens = decodes ? c.integer("kv_len") : queries + c.integer("prefix");
      const std::int64_t keys = c.integer("batch") * tokens * c.integer("kv_heads") * c.integer("head_dim");
      p.operands = {values.take(c.integer("batch") * queries * c.integer("heads") * c.integer("head_dim"), c.text("dtype"), 2), values.take(keys, f), values.take(keys, f)};
      break;
    }
    case Op::kMlaDecode:
      p.operands = {values.take(c.integer("batch") * c.integer("heads") * 576, c.text("dtype")), values.take(c.integer("batch") * c.integer("kv_len") * 576, f)};
      break;
    case Op::kElementwise:
      for (int i = 0; i < 2; ++i) p.operands.push_back(values.take(c.integer("tokens") * c.integer("hidden"), f));
      break;
    case Op::kCopy:
    case Op::kLaunch:
    case Op::kCollective: break;
  }
  return p;
}

std::vector<double> reference_result(const Problem& p) {
  const Case& c = p.shape;
  switch (c.op) {
    case Op::kGemm: return reference_gemm(c.integer("m"), c.integer("n"), c.integer("k"), p.operands[0], p.operands[1]);
    case Op::kMoe:
      return reference_experts(c.integer("tokens"), dimension(c, "hidden"), dimension(c, "inter"), dimension(c, "top_k"), p.operands[0], p.experts, p.operands[1],
                               p.operands[2], p.operands[3]);
    case Op::kRouter: {
      if (c.text("op") != "softmax_topk") return {p.operands[1].begin(), p.operands[1].end()};  // weights add up to one
      const TopK best = reference_topk(c.integer("tokens"), dimension(c, "experts"), dimension(c, "top_k"), p.operands[0]);
      std::vector<double> out;
      for (std::size_t i = 0; i < best.experts.size(); ++i) out.insert(out.end(), {static_cast<double>(best.experts[i]), best.weights[i]});
      return out;
    }
    case Op::kAttentionDecode:
      return reference_decode(dimension(c, "batch"), dimension(c, "kv_len"), dimension(c, "heads"), dimension(c, "kv_heads"), dimension(c, "head_dim"), p.operands[0],
                              p.operands[1], p.operands[2]);
    case Op::kAttentionPrefill:
      return reference_prefill(dimension(c, "q_len"), dimension(c, "prefix"), dimension(c, "heads"), dimension(c, "kv_heads"), dimension(c, "head_dim"), p.operands[0],
                               p.operands[1], p.operands[2]);
    case Op::kMlaDecode: return reference_mla(dimension(c, "batch"), dimension(c, "kv_len"), dimension(c, "heads"), 512, 64, p.operands[0], p.operands[1]);
    case Op::kElementwise: return reference_norm(c.integer("tokens"), c.integer("hidden"), p.operands[0], p.operands[1]);
    case Op::kCopy:
    case Op::kLaunch:
    case Op::kCollective: break;
  }
  return {};
}

std::vector<Verification> verify(Backend& backend, const std::vector<Case>& cases, std::uint64_t seed) {
  std::set<std::pair<Op, std::string>> kinds;
  for (const Case& c : cases) kinds.emplace(c.op, format_of(c));
  std::vector<Verification> results;
  for (const auto& [op, format] : kinds) {
    for (const Case& c : verification_cases(op, format)) {
      try {
        const Problem problem = make_problem(c, seed);
        const std::vector<float> got = backend.compute(problem);
        const std::vector<double> wanted = reference_result(problem);
        MOEPLAN_CHECK(got.size() == wanted.size());
        double difference = 0, size = 0;
        for (std::size_t i = 0; i < got.size(); ++i) {
          const double d = static_cast<double>(got[i]) - wanted[i];
          difference += d * d;
          size += wanted[i] * wanted[i];
        }
        // A result that is no number must fail, too.
        const double error = size > 0 ? std::sqrt(difference / size) : 0;
        results.push_back({c, std::isfinite(error) ? error : 1e9, tolerance_of(c)});
      } catch (const Unsupported&) {
      }
    }
  }
  return results;
}

std::vector<std::string> leave_out_wrong(const std::vector<Verification>& results, std::vector<Case>& cases) {
  std::vector<std::string> lines;
  for (const Verification& v : results) {
    if (v.passed()) continue;
    const Op op = v.shape.op;
    const std::string format = format_of(v.shape);
    lines.push_back(fmt::format("{} in {} is left out: {} differs from the float64 reference by {:.2g}, allowed is {:.2g}", info(op).name, format, v.shape.key(), v.error, v.tolerance));
    std::erase_if(cases, [&](const Case& c) { return c.op == op && format_of(c) == format; });
  }
  return lines;
}

std::string verification_text(const std::vector<Verification>& results) {
  std::string text;
  for (const Verification& v : results) {
    text += fmt::format("{:<18} {:<60} error {:.2e}, allowed {:.2e}{}\n", info(v.shape.op).name, v.shape.key(), v.error, v.tolerance, v.passed() ? "" : "  WRONG");
  }
  return text;
}

}  // namespace moeplan::bench
