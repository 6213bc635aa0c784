#include "cost/workspace.hpp"

#include <doctest/doctest.h>

#include "support/cost_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;

TEST_CASE("activations of a dense model are its residual stream and its widest layer") {
  CostBench bench(dense_model(), layout(2, 1, 1, 1));
  bench.inputs.max_batch_tokens = 1000;
  bench.inputs.max_batch_requests = 1;
  // 1000 tokens x 2 bytes x (3 x 4096 + 3 x 14336 / 2); attention is 1000 x (16 heads + 4 KV heads) x 256, narrower
  const Workspace work = workspace_bytes(bench.inputs);
  CHECK(work.activations == Bytes(1000 * 2 * (3 * 4096 + 3 * 7168)));
  CHECK(work.communication == Bytes(256LL << 20));
}

TEST_CASE("logits count where they outweigh the layers") {
  CostBench bench(dense_model());
  bench.inputs.max_batch_tokens = 100;
  bench.inputs.max_batch_requests = 100;
  // 100 rows x 32,000 words x (two copies of 4 bytes and one of 2)
  CHECK(workspace_bytes(bench.inputs).activations == Bytes(100 * 32000 * 10));
  CHECK(workspace_bytes(bench.inputs).communication == Bytes(0));
}

TEST_CASE("experts of data-parallel attention see every copy's tokens") {
  CostBench bench(moe_model(), layout(1, 1, 4, 4));
  bench.inputs.max_batch_tokens = 1000;
  bench.inputs.max_batch_requests = 1;
  // 4000 tokens enter; each takes 2 of 8 experts on 4 ranks, at least one pair per token is planned for:
  // 4000 pairs x (2 x 14336 + 14336) + 4000 x 4096, plus 3 x 1000 x 4096 of residual, 2 bytes each
  const std::int64_t elements = 4000LL * 3 * 14336 + 4000LL * 4096 + 3LL * 1000 * 4096;
  CHECK(workspace_bytes(bench.inputs).activations == Bytes(2 * elements));
  // two groups (data, expert) and the gathered and scattered tokens of four copies
  CHECK(workspace_bytes(bench.inputs).communication == Bytes(2 * (256LL << 20) + 2LL * 1000 * 2 * 4 * 4096));
}
