// What requests carry for prefix caches and schedulers with priorities.
#include "support/temporary_folder.hpp"
#include "workload_support.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

using Blocks = std::vector<std::uint32_t>;

Blocks blocks_of(const RequestSpec& spec) { return {spec.trace_blocks.begin(), spec.trace_blocks.end()}; }

constexpr const char* kMooncake = R"({"timestamp": 0, "input_length": 1200, "output_length": 5, "hash_ids": [0, 1, 2]}
{"timestamp": 10, "input_length": 1100, "output_length": 5, "hash_ids": [0, 1, 3]}
)";

}  // namespace

TEST_CASE("requests of a Mooncake trace carry its hash ids when asked to") {
  const TemporaryFolder folder;
  WorkloadConfig config = trace(folder.write("t.jsonl", kMooncake));
  CHECK(requests_of(config)[0].trace_blocks.empty());
  config.arrivals.prompt_blocks = true;
  const auto source = make_request_source(config, 1);
  const auto requests = drain(*source);
  REQUIRE(requests.size() == 2);
  CHECK(blocks_of(requests[0]) == Blocks{0, 1, 2});
  CHECK(blocks_of(requests[1]) == Blocks{0, 1, 3});
  CHECK(requests[0].trace_block_tokens == 512);
}

TEST_CASE("a repetition of a trace shares no blocks with the first pass") {
  const TemporaryFolder folder;
  WorkloadConfig config = trace(folder.write("t.jsonl", kMooncake));
  config.arrivals.prompt_blocks = true;
  config.arrivals.repeat = true;
  config.requests = 5;
  const auto source = make_request_source(config, 1);
  const auto requests = drain(*source);
  REQUIRE(requests.size() == 5);
  // numbers 0 to 3 in the first pass, 4 to 7 in the second, 8 to 11 in the third
  CHECK(blocks_of(requests[2]) == Blocks{4, 5, 6});
  CHECK(blocks_of(requests[3]) == Blocks{4, 5, 7});
  CHECK(blocks_of(requests[4]) == Blocks{8, 9, 10});
}

TEST_CASE("hash ids that are no whole numbers are refused with their line") {
  const TemporaryFolder folder;
  for (const char* id : {"\"x\"", "-1", "1.5", "99999999999"}) {
    const auto file = folder.write("t.jsonl", std::string(R"({"timestamp": 0, "input_length": 9, "output_length": 5, "hash_ids": [)") + id + "]}\n");
    const std::string message = refusal([&] { requests_of(trace(file)); });
    CHECK(contains(message, "t.jsonl:1"));
    CHECK(contains(message, "hash_ids"));
  }
}

TEST_CASE("a request carries the priority of its class and the prefix of its row") {
  const TemporaryFolder folder;
  folder.write("t.csv", "arrival_s,prompt_tokens,output_tokens,class,prefix_id,prefix_tokens\n0,100,10,batch,4,60\n1,100,10,chat,,\n");
  const auto requests = requests_of(parse(R"({"arrivals": {"process": "trace", "file": "t.csv"},
      "classes": [{"name": "chat", "priority": 2}, {"name": "batch", "priority": -1}]})",
                                          folder.path()));
  REQUIRE(requests.size() == 2);
  CHECK(requests[0].priority == -1);
  CHECK(requests[0].prefix_id == 4);
  CHECK(requests[0].prefix_tokens == 60);
  CHECK(requests[0].session_id == -1);
  CHECK(requests[1].priority == 2);
  CHECK(requests[1].prefix_id == -1);
}
