#include "network/path_table.hpp"

namespace moeplan {
namespace {

// Keys of host paths lie beside those of pairs of GPUs: numbers of GPUs are below 2^21.
constexpr std::int64_t kStride = std::int64_t{1} << 21;
std::int64_t pair_key(int from, int to) { return from * kStride + to; }
std::int64_t host_key(int gpu, bool back) { return -1 - (std::int64_t{gpu} * 2 + (back ? 1 : 0)); }

}  // namespace

std::span<const LinkUse> PathTable::keep(std::int64_t key, const std::vector<std::int32_t>& links) {
  std::vector<LinkUse> uses;
  uses.reserve(links.size());
  for (const std::int32_t link : links) uses.push_back({link, 1.0});
  return known_.emplace(key, std::move(uses)).first->second;
}

std::span<const LinkUse> PathTable::between(int from, int to) {
  const auto at = known_.find(pair_key(from, to));
  return at != known_.end() ? at->second : keep(pair_key(from, to), topology_.path(from, to));
}

std::span<const LinkUse> PathTable::to_host(int gpu) {
  const auto at = known_.find(host_key(gpu, false));
  return at != known_.end() ? at->second : keep(host_key(gpu, false), topology_.path_to_host(gpu));
}

std::span<const LinkUse> PathTable::from_host(int gpu) {
  const auto at = known_.find(host_key(gpu, true));
  return at != known_.end() ? at->second : keep(host_key(gpu, true), topology_.path_from_host(gpu));
}

}  // namespace moeplan
