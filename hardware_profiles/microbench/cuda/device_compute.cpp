// The GPU's kernels on given operands, for verification.
#include <algorithm>
#include <functional>

#include "cuda/attention_setup.hpp"
#include "cuda/device_work.hpp"
#include "cuda/expert_plan.hpp"
#include "cuda/sdpa_plan.hpp"
#include "suite/indexing.hpp"

namespace moeplan::bench {
namespace {

std::size_t size_of(std::int64_t n) { return static_cast<std::size_t>(n); }
int whole(const Case& c, std::string_view column) { return static_cast<int>(c.integer(column)); }

std::vector<std::uint16_t> bf16(const std::vector<float>& values) {
  std::vector<std::uint16_t> out(values.size());
  std::transform(values.begin(), values.end(), out.begin(), to_bf16);
  return out;
}

/// As the format stores them; two fp4 codes share a byte, the first in its lower half.
std::vector<std::uint8_t> stored(const std::vector<float>& values, DeviceFormat format) {
  std::vector<std::uint8_t> bytes(format_bytes(format, static_cast<std::int64_t>(values.size())), 0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (format == DeviceFormat::kBf16) {
      const std::uint16_t x = to_bf16(values[i]);
      std::memcpy(bytes.data() + 2 * i, &x, 2);
    } else if (format == DeviceFormat::kFp8) {
      bytes[i] = to_e4m3(values[i]);
    } else {
      bytes[i / 2] = static_cast<std::uint8_t>(bytes[i / 2] | to_e2m1(values[i]) << (i % 2 * 4));
    }
  }
  return bytes;
}

/// Block scales that are all one.
DeviceBuffer unit_scales(std::size_t bytes) {
  return bytes == 0 ? DeviceBuffer() : upload(std::vector<std::uint8_t>(bytes, to_e4m3(1.0F)));
}

/// Weights with unit scales behind them, where the plan wants some.
DeviceBuffer weights_of(const std::vector<float>& values, DeviceFormat format, std::size_t bytes) {
  std::vector<std::uint8_t> all = stored(values, format);
  all.resize(bytes, to_e4m3(1.0F));
  return upload(all);
}

std::vector<float> result_of(const DeviceBuffer& out, std::size_t count) {
  const auto bits = download<std::uint16_t>(out.data(), count);
  std::vector<float> values(count);
  std::transform(bits.begin(), bits.end(), values.begin(), from_bf16);
  return values;
}

std::vector<float> gemm_result(const Problem& p, Libraries& libraries) {
  const DeviceFormat format = device_format(p.shape.text("dtype"));
  const GemmPlan plan(libraries, p.shape.integer("m"), p.shape.integer("n"), p.shape.integer("k"), format);
  const DeviceBuffer a = upload(stored(p.operands[0], format)), w = upload(stored(p.operands[1], format)), out(plan.out_bytes());
  const DeviceBuffer a_scales = unit_scales(plan.a_scale_bytes()), w_scales = unit_scales(plan.w_scale_bytes());
  plan.run(a.data(), w.data(), out.data(), {a_scales.data(), w_scales.data()});
  libraries.stream.wait();
  return result_of(out, plan.out_bytes() / 2);
}

std::vector<float> experts_result(const Problem& p, Libraries& libraries) {
  const Case& c = p.shape;
  const DeviceFormat format = device_format(c.text("dtype"));
  const ExpertSizes sizes{whole(c, "tokens"), whole(c, "hidden"), whole(c, "inter"), whole(c, "experts"), whole(c, "top_k")};
  ExpertPlan plan(libraries, sizes, format, p.experts);
  const DeviceBuffer x = upload(bf16(p.operands[0])), weights = upload(p.operands[1]), up = weights_of(p.operands[2], format, plan.up_bytes()), down = weights_of(p.operands[3], format, plan.down_bytes());
  const DeviceBuffer out(p.operands[0].size() * 2);
  plan.run(x.as<std::uint16_t>(), nullptr, weights.as<float>(), up.data(), down.data(), out.as<std::uint16_t>());
  libraries.stream.wait();
  return result_of(out, p.operands[0].size());
}

std::vector<float> router_result(const Problem& p, Libraries& libraries) {
  const Case& c = p.shape;
  const int tokens = whole(c, "tokens"), hidden = whole(c, "hidden"), experts = whole(c, "experts"), top_k = whole(c, "top_k"), pairs = tokens * top_k;
  const DeviceBuffer logits = upload(p.operands[0]), x = upload(bf16(p.operands[1]));
  const DeviceBuffer chosen(size_of(pairs) * 4), weights(size_of(pairs) * 4), counts(size_of(experts) * 4), starts(size_of(experts) * 4), cursor(size_of(experts) * 4),
      place(size_of(pairs) * 4), rows(size_of(std::int64_t{pairs} * hidden) * 2), out(p.operands[1].size() * 2);
  launch_softmax_topk(tokens, experts, top_k, logits.as<float>(), chosen.as<int>(), weights.as<float>(), libraries.stream);
  if (c.text("op") == "softmax_topk") {
    libraries.stream.wait();
    const auto picks = download<int>(chosen.data(), size_of(pairs));
    const auto shares = download<float>(weights.data(), size_of(pairs));
    std::vector<float> result;
    for (std::size_t i = 0; i < picks.size(); ++i) result.insert(result.end(), {static_cast<float>(picks[i]), shares[i]});
    return result;
  }
  launch_place_pairs(pairs, experts, 1, chosen.as<int>(), counts.as<int>(), starts.as<int>(), cursor.as<int>(), place.as<int>(), libraries.stream);
  launch_gather_bf16(pairs, top_k, hidden, place.as<int>(), x.as<std::uint16_t>(), rows.as<std::uint16_t>(), libraries.stream);
  launch_weighted_sum(tokens, top_k, hidden, place.as<int>(), weights.as<float>(), rows.as<std::uint16_t>(), out.as<std::uint16_t>(), libraries.stream);
  libraries.stream.wait();
  return result_of(out, p.operands[1].size());
}

std::vector<float> attention_result(const Problem& p, Libraries& libraries) {
  AttentionSetup setup(p.shape);
  const AttentionCall& call = setup.call();
  const std::size_t element = call.eight_bit ? 1 : 2;
  const DeviceFormat format = call.eight_bit ? DeviceFormat::kFp8 : DeviceFormat::kBf16;
  const std::vector<std::uint8_t> plain[] = {stored(p.operands[1], format), stored(p.operands[2], format)};
  std::vector<std::uint8_t> pools[] = {std::vector<std::uint8_t>(setup.pool_bytes(), 0), std::vector<std::uint8_t>(setup.pool_bytes(), 0)};
  const int batch = call.rows / call.queries;
  for (int s = 0; s < batch; ++s) {
    for (int t = 0; t < setup.tokens(); ++t) {
      for (int h = 0; h < call.kv_heads; ++h) {
        const std::int64_t from = ((std::int64_t{s} * setup.tokens() + t) * call.kv_heads + h) * call.dim;
        const std::int32_t block = setup.table()[size_of(std::int64_t{s} * call.blocks_each + t / kPageTokens)];
        const std::int64_t to = paged_offset(block, t % kPageTokens, h, call.kv_heads, kPageTokens, call.dim);
        for (int i = 0; i < 2; ++i) std::memcpy(pools[i].data() + size_of(to) * element, plain[i].data() + size_of(from) * element, size_of(call.dim) * element);
      }
    }
  }
  const DeviceBuffer q = upload(bf16(p.operands[0])), keys = upload(pools[0]), values = upload(pools[1]);
  setup.launch(q.data(), keys.data(), values.data(), libraries.stream);
  libraries.stream.wait();
  return result_of(setup.out(), p.operands[0].size());
}

std::vector<float> sdpa_result(const Problem& p, Libraries& libraries) {
  const SdpaPlan plan(libraries, p.shape);
  const DeviceBuffer q = upload(bf16(p.operands[0])), keys = upload(bf16(p.operands[1])), values = upload(bf16(p.operands[2])), out(plan.query_bytes());
  plan.run(q.data(), keys.data(), values.data(), out.data());
  libraries.stream.wait();
  return result_of(out, p.operands[0].size());
}

std::vector<float> latent_result(const Problem& p, Libraries& libraries) {
  LatentSetup setup(p.shape);
  const DeviceBuffer q = upload(bf16(p.operands[0])), rows = upload(bf16(p.operands[1]));
  setup.launch(q.data(), rows.data(), libraries.stream);
  libraries.stream.wait();
  return result_of(setup.out(), setup.out().size() / 2);
}

std::vector<float> norm_result(const Problem& p, Libraries& libraries) {
  const DeviceBuffer add = upload(bf16(p.operands[0])), stream = upload(bf16(p.operands[1])), out(p.operands[0].size() * 2);
  launch_add_norm(whole(p.shape, "tokens"), whole(p.shape, "hidden"), add.as<std::uint16_t>(), stream.as<std::uint16_t>(), out.as<std::uint16_t>(), libraries.stream);
  libraries.stream.wait();
  return result_of(out, p.operands[0].size());
}

}  // namespace

std::vector<float> compute_on_device(const Problem& p, Libraries& libraries) {
  switch (p.shape.op) {
    case Op::kGemm: return gemm_result(p, libraries);
    case Op::kMoe: return experts_result(p, libraries);
    case Op::kRouter: return router_result(p, libraries);
    case Op::kAttentionPrefill: return has_cudnn() ? sdpa_result(p, libraries) : attention_result(p, libraries);
    case Op::kAttentionDecode: return attention_result(p, libraries);
    case Op::kMlaDecode: return latent_result(p, libraries);
    case Op::kElementwise: return norm_result(p, libraries);
    case Op::kCopy:
    case Op::kLaunch:
    case Op::kCollective: break;
  }
  return {};
}

}  // namespace moeplan::bench
