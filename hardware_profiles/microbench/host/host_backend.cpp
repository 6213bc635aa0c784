#include "host/host_backend.hpp"

#include <algorithm>

#include "host/host_device.hpp"
#include "host/host_work.hpp"

namespace moeplan::bench {
namespace {

class HostBackend final : public Backend {
 public:
  explicit HostBackend(const HostOptions& options) : options_(options) { use_threads(options.threads); }

  DeviceFacts facts() const override { return host_facts(options_.threads); }

  Abilities abilities() const override {
    Abilities a;
    a.small_device = true;
    a.memory_bytes = std::min(facts().memory_bytes * 0.5, 2.5 * static_cast<double>(arena_bytes()));
    std::vector<std::string> wide, all;
    if (supports(HostFormat::kBf16)) wide.emplace_back("bf16");
    if (supports(HostFormat::kFp32)) wide.emplace_back("fp32");
    all = wide;
    if (supports(HostFormat::kInt8)) all.emplace_back("int8");
    a.formats = {{Op::kCopy, {"bf16"}}, {Op::kLaunch, {"fp32"}}, {Op::kGemm, all}, {Op::kMoe, wide}, {Op::kRouter, {"bf16"}},
                 {Op::kAttentionDecode, {"bf16", "fp32"}}, {Op::kMlaDecode, {"bf16"}}, {Op::kAttentionPrefill, {"bf16", "fp32"}},
                 {Op::kElementwise, {"bf16"}}};
    return a;
  }

  std::unique_ptr<Work> prepare(const Case& c) override {
    // Made on first use: --dry-run and --list need none.
    if (!arena_) arena_ = std::make_unique<Arena>(arena_bytes(), options_.seed);
    return make_host_work(c, *arena_, options_.seed);
  }
  std::vector<float> compute(const Problem& problem) override { return compute_on_host(problem); }
  Health health() override { return host_health(); }
  double shortest_sample() const override { return 20e-6; }

 private:
  [[nodiscard]] std::size_t arena_bytes() const {
    if (options_.arena_bytes > 0) return options_.arena_bytes;
    return std::max(std::size_t{512} << 20, 3 * last_level_cache());
  }
  HostOptions options_;
  std::unique_ptr<Arena> arena_;
};

}  // namespace

std::unique_ptr<Backend> make_host_backend(const HostOptions& options) { return std::make_unique<HostBackend>(options); }

}  // namespace moeplan::bench
