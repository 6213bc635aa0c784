#include "cuda/attention_setup.hpp"

#include <algorithm>
#include <numeric>

#include "suite/indexing.hpp"

namespace moeplan::bench {
namespace {

constexpr int kLeastKeys = 64, kMostParts = 64;
constexpr int kSharedHeads = 8;  // query heads that a block of the decode kernel handles

int whole(const Case& c, std::string_view column) { return static_cast<int>(c.integer(column)); }
std::size_t size_of(std::int64_t n) { return static_cast<std::size_t>(n); }

int multiprocessors() {
  int device = 0, count = 0;
  MOEPLAN_CUDA(cudaGetDevice(&device));
  MOEPLAN_CUDA(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

}  // namespace

AttentionSetup::AttentionSetup(const Case& c) {
  const bool decodes = c.op == Op::kAttentionDecode;
  const int batch = whole(c, "batch");
  call_.queries = decodes ? 1 : whole(c, "q_len");
  tokens_ = decodes ? whole(c, "kv_len") : call_.queries + whole(c, "prefix");
  call_.rows = batch * call_.queries;
  call_.prefix = tokens_ - call_.queries;
  call_.heads = whole(c, "heads");
  call_.kv_heads = whole(c, "kv_heads");
  call_.dim = whole(c, "head_dim");
  call_.eight_bit = c.text("kv_dtype") == "fp8";
  if (call_.dim != 64 && call_.dim != 128) throw Unsupported("head dimensions other than 64 and 128");
  call_.blocks_each = (tokens_ + kPageTokens - 1) / kPageTokens;
  const int slices = (call_.heads / call_.kv_heads + kSharedHeads - 1) / kSharedHeads;
  call_.parts = decodes ? split_parts(tokens_, batch * call_.kv_heads * slices, multiprocessors(), kLeastKeys, kMostParts) : 1;
  const int blocks = batch * call_.blocks_each;
  int stride = blocks / 2 | 1;
  while (std::gcd(stride, blocks) != 1) stride += 2;
  for (int i = 0; i < blocks; ++i) table_.push_back(static_cast<std::int32_t>(std::int64_t{i} * stride % blocks));
  device_table_ = upload(table_);
  out_ = DeviceBuffer(query_bytes());
  partial_ = DeviceBuffer(attention_partial_floats(call_) * sizeof(float));
  call_.table = device_table_.as<std::int32_t>();
  call_.out = out_.as<std::uint16_t>();
  call_.partial = partial_.as<float>();
}

std::size_t AttentionSetup::pool_bytes() const {
  return table_.size() * size_of(std::int64_t{call_.kv_heads} * kPageTokens * call_.dim) * (call_.eight_bit ? 1 : 2);
}
std::size_t AttentionSetup::query_bytes() const { return size_of(std::int64_t{call_.rows} * call_.heads * call_.dim) * 2; }

void AttentionSetup::launch(const std::byte* q, const std::byte* keys, const std::byte* values, cudaStream_t stream) {
  call_.q = reinterpret_cast<const std::uint16_t*>(q);
  call_.keys = keys;
  call_.values = values;
  launch_attention(call_, stream);
}

LatentSetup::LatentSetup(const Case& c) {
  call_.sequences = whole(c, "batch");
  call_.length = whole(c, "kv_len");
  call_.heads = whole(c, "heads");
  if (call_.heads % 4 != 0) throw Unsupported("latent attention of a number of heads that is no multiple of 4");
  call_.parts = split_parts(call_.length, call_.sequences * call_.heads / 4, multiprocessors(), kLeastKeys, kMostParts);
  out_ = DeviceBuffer(size_of(std::int64_t{call_.sequences} * call_.heads * kLatentWidth) * 2);
  partial_ = DeviceBuffer(latent_partial_floats(call_) * sizeof(float));
  call_.out = out_.as<std::uint16_t>();
  call_.partial = partial_.as<float>();
}

std::size_t LatentSetup::row_bytes() const { return size_of(std::int64_t{call_.sequences} * call_.length * kLatentKey) * 2; }
std::size_t LatentSetup::query_bytes() const { return size_of(std::int64_t{call_.sequences} * call_.heads * kLatentKey) * 2; }

void LatentSetup::launch(const std::byte* q, const std::byte* rows, cudaStream_t stream) {
  call_.q = reinterpret_cast<const std::uint16_t*>(q);
  call_.rows = reinterpret_cast<const std::uint16_t*>(rows);
  launch_latent(call_, stream);
}

}  // namespace moeplan::bench
