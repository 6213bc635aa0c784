#include "suite/operation.hpp"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/error.hpp"
#include "base/precision.hpp"
#include "input/catalogue.hpp"

namespace moeplan::bench {
namespace {

Workload gemm_work(const Case& c) {
  const double m = c.number("m"), n = c.number("n"), k = c.number("k");
  const double element = element_bytes(c.text("dtype"));
  return {(m * k + n * k) * element + 2 * m * n, 2 * m * n * k};
}

Workload moe_work(const Case& c) {
  const double expert = 3.0 * c.number("hidden") * c.number("inter");
  const double traffic = c.number("tokens") * c.number("hidden") * 4;
  return {c.number("touched") * expert * element_bytes(c.text("dtype")) + traffic, 2 * c.number("pairs") * expert};
}

Workload router_work(const Case& c) {
  const double tokens = c.number("tokens"), hidden = c.number("hidden"), pairs = tokens * c.number("top_k");
  if (c.text("op") == "softmax_topk") return {tokens * c.number("experts") * 4 + pairs * 8, 4 * tokens * c.number("experts")};
  return {(tokens + pairs) * hidden * 2, 2 * pairs * hidden};
}

Workload decode_work(const Case& c) {
  const double batch = c.number("batch"), length = c.number("kv_len"), dim = c.number("head_dim");
  const double keys = 2 * batch * length * c.number("kv_heads") * dim * element_bytes(c.text("kv_dtype"));
  return {keys + 4 * batch * c.number("heads") * dim, 4 * batch * length * c.number("heads") * dim};
}

constexpr double kLatent = 512, kRope = 64;

Workload mla_work(const Case& c) {
  const double rows = c.number("batch") * c.number("kv_len");
  return {rows * (kLatent + kRope) * element_bytes(c.text("kv_dtype")) + 2 * c.number("batch") * c.number("heads") * (2 * kLatent + kRope),
          2 * rows * c.number("heads") * (2 * kLatent + kRope)};
}

Workload prefill_work(const Case& c) {
  const double batch = c.number("batch"), q = c.number("q_len"), prefix = c.number("prefix"), dim = c.number("head_dim");
  const double heads = c.number("heads"), kv = (q + prefix) * c.number("kv_heads") * element_bytes(c.text("kv_dtype"));
  return {batch * (4 * q * heads + 2 * kv) * dim, 2 * batch * heads * dim * q * (q + 1 + 2 * prefix)};
}

Workload copy_work(const Case& c) {
  const double bytes = c.number("bytes");
  const bool twice = c.text("op") == "copy" || c.text("op") == "both_ways";
  return {twice ? 2 * bytes : bytes, 0};
}

}  // namespace

const std::vector<OpInfo>& operations() {
  static const std::vector<OpInfo> all = {
      {Op::kCopy, "copy", {"op", "from", "to", "bytes", "dtype"},
       "memory read and copy over sizes; host to device and back (pinned), both at once; copies between devices"},
      {Op::kLaunch, "launch", {"op", "kernels", "dtype"}, "what starting a kernel costs: one by one, and replayed from a graph"},
      {Op::kGemm, "gemm", {"m", "n", "k", "dtype"}, "dense matrix product over rows, columns, depth and number formats, with tile edges"},
      {Op::kMoe, "moe", {"tokens", "hidden", "inter", "top_k", "experts", "tp", "ep", "pairs", "touched", "load_cv", "routing", "dtype"},
       "whole expert FFN of one layer: permutation, both products, activation, weighted sum; even and uneven loads"},
      {Op::kRouter, "router", {"op", "tokens", "hidden", "experts", "top_k", "dtype"}, "softmax and top-k, permutation, weighted sum, alone"},
      {Op::kAttentionDecode, "attention_decode", {"batch", "kv_len", "heads", "kv_heads", "head_dim", "dtype", "kv_dtype"},
       "one decode step of grouped-query attention over paged keys and values"},
      {Op::kMlaDecode, "mla_decode", {"batch", "kv_len", "heads", "dtype", "kv_dtype"}, "one decode step of latent attention (512 + 64 elements)"},
      {Op::kAttentionPrefill, "attention_prefill", {"batch", "q_len", "prefix", "heads", "kv_heads", "head_dim", "dtype", "kv_dtype"},
       "causal attention of a prompt or of a chunk behind a prefix"},
      {Op::kCollective, "collective", {"op", "ranks", "bytes", "dtype"}, "all_reduce, all_gather, reduce_scatter, all_to_all among the devices"},
      {Op::kElementwise, "elementwise", {"tokens", "hidden", "heads", "kv_heads", "head_dim", "inter", "bytes", "dtype"},
       "what lies between a layer's products: norms with residual sums, rotary angles and cache write, gated activation"}};
  return all;
}

const OpInfo& info(Op op) { return operations()[static_cast<std::size_t>(op)]; }

std::vector<Op> parse_operations(const std::string& names) {
  std::vector<std::string> known;
  for (const OpInfo& op : operations()) known.emplace_back(op.name);
  std::vector<bool> wanted(known.size(), false);
  std::istringstream stream(names);
  for (std::string name; std::getline(stream, name, ',');) {
    const auto at = std::find(known.begin(), known.end(), name);
    if (at == known.end()) throw InputError("--ops", "unknown operation '" + name + "'" + did_you_mean(name, known) + "; --list shows them");
    wanted[static_cast<std::size_t>(at - known.begin())] = true;
  }
  std::vector<Op> ops;
  for (const OpInfo& op : operations()) {
    if (wanted[static_cast<std::size_t>(op.op)]) ops.push_back(op.op);
  }
  if (ops.empty()) throw InputError("--ops", "names no operation");
  return ops;
}

const std::string& Case::text(std::string_view column) const {
  const auto& columns = info(op).columns;
  const auto at = std::find(columns.begin(), columns.end(), column);
  MOEPLAN_CHECK(at != columns.end());
  return values[static_cast<std::size_t>(at - columns.begin())];
}

std::int64_t Case::integer(std::string_view column) const { return std::strtoll(text(column).c_str(), nullptr, 10); }
double Case::number(std::string_view column) const { return std::strtod(text(column).c_str(), nullptr); }

std::string Case::key() const {
  std::string joined;
  for (const std::string& value : values) joined += (joined.empty() ? "" : ",") + value;
  return joined;
}

Workload work_of(const Case& c) {
  switch (c.op) {
    case Op::kCopy: return copy_work(c);
    case Op::kGemm: return gemm_work(c);
    case Op::kMoe: return moe_work(c);
    case Op::kRouter: return router_work(c);
    case Op::kAttentionDecode: return decode_work(c);
    case Op::kMlaDecode: return mla_work(c);
    case Op::kAttentionPrefill: return prefill_work(c);
    case Op::kCollective:
    case Op::kElementwise: return {c.number("bytes"), 0};
    case Op::kLaunch: break;
  }
  return {};
}

double element_bytes(const std::string& format) {
  const auto precision = precision_from_string(format);
  MOEPLAN_CHECK(precision.has_value());
  return bytes_per_activation(*precision);
}

}  // namespace moeplan::bench
