#include <doctest/doctest.h>

#include "base/error.hpp"
#include "hardware/profiles.hpp"

using namespace moeplan;

namespace {

std::string refusal(const NodeSpec& node, const GpuSpec& gpu, int nodes, std::optional<int> gpus) {
  try {
    make_cluster(node, gpu, nodes, gpus, "s.json: /cluster");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("a cluster may use all of its GPUs or the first few") {
  const NodeSpec node = test::node("hgx-h100");
  const GpuSpec gpu = test::gpu("h100-sxm");
  CHECK(make_cluster(node, gpu, 2, std::nullopt, "x").gpus == 16);
  CHECK(make_cluster(node, gpu, 2, 3, "x").gpus == 3);
  CHECK(nodes_for(node, 8) == 1);
  CHECK(nodes_for(node, 9) == 2);
}

TEST_CASE("more GPUs than the cluster has are refused with what would be needed") {
  const std::string what = refusal(test::node("hgx-h100"), test::gpu("h100-sxm"), 1, 9);
  CHECK(what == "s.json: /cluster: found 9 GPUs, but 1 node of 'hgx-h100' holds 8 (2 nodes would be needed)");
  CHECK(refusal(test::node("hgx-h100"), test::gpu("h100-sxm"), 2, 17).find("2 nodes of 'hgx-h100' hold 16 (3 nodes") != std::string::npos);
}

TEST_CASE("no GPUs, no nodes, another GPU, and several nodes without a network are refused") {
  const GpuSpec h100 = test::gpu("h100-sxm");
  CHECK(refusal(test::node("hgx-h100"), h100, 1, 0).find("accepted: 1 to 8") != std::string::npos);
  CHECK(refusal(test::node("hgx-h100"), h100, 0, 1).find("found 0 nodes") != std::string::npos);
  CHECK(refusal(test::node("hgx-h200"), h100, 1, 1).find("holds GPU 'h200-sxm', found GPU 'h100-sxm'") != std::string::npos);
  CHECK(refusal(test::node("tpu-v5e-256"), test::gpu("tpu-v5e"), 2, 300).find("has no network") != std::string::npos);
  CHECK(refusal(test::node("hgx-h100"), h100, 1'000'000, 8).find("1000000 or fewer") != std::string::npos);
}
