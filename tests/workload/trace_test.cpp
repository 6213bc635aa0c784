#include <algorithm>
#include <set>

#include "support/temporary_folder.hpp"
#include "workload/recorded_lengths.hpp"
#include "workload/trace_reader.hpp"
#include "workload_support.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

std::vector<TraceRow> rows_of(const std::filesystem::path& file) {
  TraceReader reader(file);
  std::vector<TraceRow> rows;
  TraceRow row;
  while (reader.next(row)) rows.push_back(row);
  return rows;
}

const char* const kThree = "arrival_s,prompt_tokens,output_tokens\n1,10,1\n2,20,2\n5,30,3\n";

}  // namespace

TEST_CASE("our own trace format is read with its class and prefix columns") {
  const TemporaryFolder folder;
  const auto rows = rows_of(folder.write("t.csv",
                                         "arrival_s,prompt_tokens,output_tokens,class,prefix_id,prefix_tokens\n"
                                         "0.25,1000,10,chat,,\n"
                                         "1.5,2000,20,code,7,512\n"));
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].arrival == SimTime(250'000'000));
  CHECK(rows[0].prompt_tokens == 1000);
  CHECK(rows[0].output_tokens == 10);
  CHECK(rows[0].class_name == "chat");
  CHECK(rows[0].prefix_id == -1);
  CHECK(rows[1].prefix_id == 7);
  CHECK(rows[1].prefix_tokens == 512);
}

TEST_CASE("our own trace format gives prefix blocks to who asks, runs of them spelled out") {
  const TemporaryFolder folder;
  const auto file = folder.write("t.csv", "arrival_s,prompt_tokens,output_tokens,prefix_blocks\n0,2000,10,0 14-16\n1,600,10,\n");
  TraceReader reader(file);
  reader.keep_blocks();
  TraceRow row;
  REQUIRE(reader.next(row));
  CHECK(row.blocks == std::vector<std::uint32_t>{0, 14, 15, 16});
  CHECK(row.largest_block == 16);
  REQUIRE(reader.next(row));
  CHECK(row.blocks.empty());
  CHECK(rows_of(file)[0].blocks.empty());
  const auto refused = [&](const std::string& text) {
    const auto bad = folder.write("bad", text);
    return refusal([&] { scan_trace(bad); });
  };
  CHECK(contains(refused("arrival_s,prompt_tokens,output_tokens,prefix_blocks\n1,2,3,7-5\n"), "bad:2: prefix_blocks has the run '7-5'"));
  CHECK(contains(refused("arrival_s,prompt_tokens,output_tokens,prefix_blocks\n1,2,3,x\n"), "bad:2: prefix_blocks has 'x'"));
}

TEST_CASE("Azure's trace is read as published, its first row being time zero") {
  const TemporaryFolder folder;
  // Over midnight and the end of a month; Windows line ends.
  const auto rows = rows_of(folder.write("t.csv",
                                         "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
                                         "2024-02-29 23:59:59.9000000,4808,10\r\n"
                                         "2024-03-01 00:00:00.0000001,3180,8\r\n"
                                         "2024-03-01 00:00:01+00:00,1,2\r\n"));
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].arrival == SimTime(0));
  CHECK(rows[1].arrival == SimTime(100'000'100));
  CHECK(rows[2].arrival == SimTime(1'100'000'000));
  CHECK(rows[0].prompt_tokens == 4808);
  CHECK(rows[1].output_tokens == 8);
}

TEST_CASE("Mooncake's JSON lines are read as published") {
  const TemporaryFolder folder;
  const auto rows = rows_of(folder.write("t.jsonl",
                                         "{\"timestamp\": 0, \"input_length\": 658, \"output_length\": 500, \"hash_ids\": [0, 1]}\n"
                                         "\n"
                                         "{\"timestamp\": 3001, \"input_length\": 1024, \"output_length\": 490, \"hash_ids\": [0, 14]}\n"));
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].arrival == SimTime(3'001'000'000));
  CHECK(rows[1].prompt_tokens == 1024);
  CHECK(rows[1].output_tokens == 490);
}

TEST_CASE("prefix blocks that do not cover their prompt, one for 512 tokens, are refused") {
  const TemporaryFolder folder;
  const auto refused = [&](const char* file, const std::string& text) {
    const auto bad = folder.write(file, text);
    return refusal([&] { scan_trace(bad); });
  };
  const auto mooncake = [&](int tokens, const char* ids) {
    return refused("t.jsonl", R"({"timestamp": 0, "input_length": )" + std::to_string(tokens) + R"(, "output_length": 5, "hash_ids": [)" + ids + "]}\n");
  };
  CHECK(mooncake(1024, "4, 5") == "");
  CHECK(mooncake(1025, "4, 5, 6") == "");
  CHECK(contains(mooncake(1025, "4, 5"), "t.jsonl:1: hash_ids names 2 blocks; accepted: one for every 512 tokens of the prompt, 3 for its 1025"));
  CHECK(contains(mooncake(512, "4, 5"), "hash_ids names 2 blocks"));
  CHECK(contains(mooncake(512, ""), "hash_ids names 0 blocks"));
  const std::string header = "arrival_s,prompt_tokens,output_tokens,prefix_blocks\n";
  CHECK(refused("t.csv", header + "0,2000,10,0 14-16\n1,600,10,\n") == "");
  CHECK(contains(refused("t.csv", header + "0,2100,10,0 14-16\n"), "t.csv:2: prefix_blocks names 4 blocks; accepted: one for every 512 tokens of the prompt, 5 for its 2100"));
}

TEST_CASE("a broken trace is refused with file and line") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& text) {
    const auto file = folder.write("bad", text);
    return refusal([&] { scan_trace(file); });
  };
  const std::string own = "arrival_s,prompt_tokens,output_tokens\n0,1,1\n";
  CHECK(contains(refused(own + "1,x,1\n"), "bad:3"));
  CHECK(contains(refused(own + "1,5\n"), "bad:3"));
  CHECK(contains(refused(own + "1,0,1\n"), "bad:3: prompt_tokens is 0; accepted: 1 to"));
  CHECK(contains(refused(own + "1,5,-2\n"), "bad:3: output_tokens is -2"));
  CHECK(contains(refused(own + "-1,5,1\n"), "bad:3"));
  CHECK(contains(refused(own + "nan,5,1\n"), "bad:3"));
  CHECK(contains(refused(own + "1e300,5,1\n"), "bad:3"));
  CHECK(contains(refused(own + "3,5,1\n2,5,1\n"), "bad:4: arrives at"));
  CHECK(contains(refused("arrival_s,prompt_tokens,output_tokens\n"), "no requests"));
  CHECK(contains(refused(""), "empty"));
  CHECK(contains(refused("\n\n"), "empty"));
  CHECK(contains(refused("a,b,c\n1,2,3\n"), "not a request trace"));
  CHECK(contains(refused("arrival_s,output_tokens\n1,2\n"), "prompt_tokens"));
  CHECK(contains(refused("arrival_s,prompt_tokens,output_tokens,class\n1,2,3,\n"), "bad:2: class is empty"));
  CHECK(contains(refused("arrival_s,prompt_tokens,output_tokens,prefix_id,prefix_tokens\n1,2,3,4,5\n"), "bad:2: prefix_tokens is 5"));
  CHECK(contains(refused("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-02-30 00:00:00,1,1\n"), "bad:2: TIMESTAMP is '2023-02-30"));
  CHECK(contains(refused("TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,1\n"), "bad:2"));
  CHECK(contains(refused("{\"timestamp\": 0, \"input_length\": 5}\n"), "bad:1: output_length"));
  CHECK(contains(refused("{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1}\n{oops\n"), "bad:2: not a JSON object"));
  CHECK(contains(refused("{\"timestamp\": 0, \"input_length\": 1e99, \"output_length\": 1}\n"), "bad:1: input_length"));
  CHECK(contains(refused("{\"timestamp\": 0, \"input_length\": 99999999999999999999, \"output_length\": 1}\n"), "bad:1: input_length"));
  CHECK(contains(refusal([&] { scan_trace(folder.path() / "none.csv"); }), "none.csv"));
  CHECK(contains(refusal([&] { scan_trace(folder.path()); }), "cannot be read"));
}

TEST_CASE("a trace replays its rows, faster when told to") {
  const TemporaryFolder folder;
  WorkloadConfig config = trace(folder.write("t.csv", kThree));
  auto requests = requests_of(config);
  REQUIRE(requests.size() == 3);
  CHECK(requests[0].arrival == SimTime(1'000'000'000));
  CHECK(requests[2].arrival == SimTime(5'000'000'000));
  CHECK(requests[2].prompt_tokens == 30);
  CHECK(requests[2].output_tokens == 3);
  config.arrivals.speedup = 4;
  requests = requests_of(config);
  CHECK(requests[2].arrival == SimTime(1'250'000'000));
}

TEST_CASE("a trace is repeated with its span plus one mean gap as the period") {
  const TemporaryFolder folder;
  WorkloadConfig config = trace(folder.write("t.csv", kThree));
  config.requests = 7;
  CHECK(contains(refusal([&] { make_request_source(config, 1); }), "7 requests of a trace of 3"));
  config.arrivals.repeat = true;
  const auto requests = requests_of(config);
  REQUIRE(requests.size() == 7);
  // Span 4 s, two gaps of 2 s on average: a period of 6 s. Second pass at 7, 8, 11, third at 13.
  CHECK(requests[3].arrival == SimTime(7'000'000'000));
  CHECK(requests[5].arrival == SimTime(11'000'000'000));
  CHECK(requests[6].arrival == SimTime(13'000'000'000));
  CHECK(requests[6].prompt_tokens == 10);
}

TEST_CASE("a trace without duration cannot be repeated") {
  const TemporaryFolder folder;
  WorkloadConfig config = trace(folder.write("t.csv", "arrival_s,prompt_tokens,output_tokens\n1,10,1\n"));
  config.requests = 2;
  config.arrivals.repeat = true;
  CHECK(contains(refusal([&] { make_request_source(config, 1); }), "without duration"));
}

TEST_CASE("hourly factors stretch and squeeze a trace") {
  const TemporaryFolder folder;
  WorkloadConfig config = trace(folder.write("t.csv", "arrival_s,prompt_tokens,output_tokens\n1800,1,1\n3600,1,1\n9000,1,1\n"));
  // Hour 0 at half speed takes the trace to 1800 s; hours 1 and 2 stand still; hour 3 at double speed takes it to 9000 s.
  config.arrivals.hourly_factors.assign(24, 2.0);
  config.arrivals.hourly_factors[0] = 0.5;
  config.arrivals.hourly_factors[1] = 0;
  config.arrivals.hourly_factors[2] = 0;
  const auto requests = requests_of(config);
  CHECK(to_seconds(requests[0].arrival).value() == doctest::Approx(3600));
  CHECK(to_seconds(requests[1].arrival).value() == doctest::Approx(3 * 3600 + 900));
  CHECK(to_seconds(requests[2].arrival).value() == doctest::Approx(3 * 3600 + 3600));
}

TEST_CASE("a trace's classes become the workload's, and must be listed when it lists its own") {
  const TemporaryFolder folder;
  WorkloadConfig config = trace(folder.write("t.csv", "arrival_s,prompt_tokens,output_tokens,class\n0,1,1,chat\n1,2,2,code\n2,3,3,chat\n"));
  WorkloadConfig resolved = config;
  resolve_workload(resolved);
  REQUIRE(resolved.classes.size() == 2);
  CHECK(resolved.classes[0].name == "chat");
  CHECK(resolved.classes[1].name == "code");
  CHECK(resolved.requests == 3);
  const auto requests = requests_of(config);
  CHECK(requests[0].class_id == 0);
  CHECK(requests[1].class_id == 1);
  CHECK(requests[2].class_id == 0);
  config.classes[0].name = "chat";
  CHECK(contains(refusal([&] { make_request_source(config, 1); }), "class 'code'"));
}

TEST_CASE("trace lengths without trace arrivals are dealt: every row once before any comes again, prompts and outputs together") {
  const TemporaryFolder folder;
  const auto file = folder.write("t.csv", kThree);
  WorkloadConfig config = poisson(8, 30);
  config.classes[0].prompt_tokens = LengthConfig::from_trace(file);
  config.classes[0].output_tokens = LengthConfig::from_trace(file);
  const auto requests = requests_of(config);
  REQUIRE(requests.size() == 30);
  std::set<std::vector<std::int32_t>> orders;
  for (std::size_t i = 0; i < 30; i += 3) {
    orders.insert({requests[i].output_tokens, requests[i + 1].output_tokens, requests[i + 2].output_tokens});
    CHECK(requests[i].output_tokens + requests[i + 1].output_tokens + requests[i + 2].output_tokens == 1 + 2 + 3);
    for (std::size_t k = 0; k < 3; ++k) CHECK(requests[i + k].prompt_tokens == 10 * requests[i + k].output_tokens);
  }
  CHECK(orders.size() > 1);

  SUBCASE("apart where they come from different files") {
    config.classes[0].output_tokens = LengthConfig::from_trace(folder.write("other.csv", kThree));
    const auto apart = requests_of(config);
    CHECK(std::any_of(apart.begin(), apart.end(), [](const RequestSpec& r) { return r.prompt_tokens != 10 * r.output_tokens; }));
  }
  SUBCASE("arrivals of the same trace keep its order, and copies their row") {
    config.arrivals.process = ArrivalProcess::kTrace;
    config.arrivals.file = folder.path() / "." / "t.csv";
    config.arrivals.copies = 2;
    config.requests = 6;
    std::vector<std::int32_t> outputs;
    for (const RequestSpec& r : requests_of(config)) {
      CHECK(r.prompt_tokens == 10 * r.output_tokens);
      outputs.push_back(r.output_tokens);
    }
    std::sort(outputs.begin(), outputs.end());
    CHECK(outputs == std::vector<std::int32_t>{1, 1, 2, 2, 3, 3});
  }
}

TEST_CASE("dealt lengths of a few thousand requests have the means of the whole trace, and the spread of independent draws over a few hundred") {
  struct Recorded {
    const char* name;
    double epsilon;  ///< of the outputs
  };
  // A hundredth of the code answers make a sixth of their tokens: the mean of 4000 independent draws is off by 3.4 % (one standard deviation).
  for (const auto& [name, epsilon] : {Recorded{"azure_2023_conversation", 0.015}, Recorded{"azure_2023_code", 0.03}, Recorded{"mooncake_conversation", 0.015}}) {
    CAPTURE(name);
    const std::string file = std::string(MOEPLAN_SOURCE_DIR "/scenarios/traces/") + name + ".csv";
    WorkloadConfig config = poisson(8, 4000);
    config.classes[0].prompt_tokens = LengthConfig::from_trace(file);
    config.classes[0].output_tokens = LengthConfig::from_trace(file);
    resolve_workload(config);
    const RecordedLengths& rows = *config.classes[0].output_tokens.recorded;
    CHECK(class_means(config)[0].output_tokens == rows.mean_output);
    double square = 0;  // of a row's output about the mean
    for (const std::int32_t tokens : rows.output_tokens) square += (tokens - rows.mean_output) * (tokens - rows.mean_output) / static_cast<double>(rows.rows());
    double of_hundreds = 0;
    int hundreds = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      CAPTURE(seed);
      double prompt = 0, output = 0, hundred = 0;
      const auto requests = requests_of(config, seed);
      for (const RequestSpec& r : requests) {
        prompt += r.prompt_tokens / 4000.0;
        output += r.output_tokens / 4000.0;
        hundred += r.output_tokens / 100.0;
        if (r.id % 100 != 99) continue;
        of_hundreds += (hundred - rows.mean_output) * (hundred - rows.mean_output);
        hundred = 0;
        ++hundreds;
      }
      CHECK(prompt == doctest::Approx(rows.mean_prompt).epsilon(0.015));
      CHECK(output == doctest::Approx(rows.mean_output).epsilon(epsilon));
    }
    // The mean of 100 independent draws varies by a hundredth of what one does.
    CHECK(of_hundreds / hundreds == doctest::Approx(square / 100).epsilon(0.2));
  }
}

TEST_CASE("the traces shipped are whole") {
  struct Shipped {
    const char* name;
    std::uint64_t rows;
    double mean_prompt;
    double mean_output;
  };
  for (const Shipped& s : {Shipped{"azure_2023_code", 8'819, 2047.8, 27.9}, Shipped{"azure_2023_conversation", 19'366, 1154.7, 211.1},
                           Shipped{"mooncake_conversation", 12'031, 12'035, 342.6}, Shipped{"sharegpt_300", 300, 857, 653}}) {
    CAPTURE(s.name);
    const auto rows = rows_of(std::string(MOEPLAN_SOURCE_DIR "/scenarios/traces/") + s.name + ".csv");
    REQUIRE(rows.size() == s.rows);
    double prompt = 0;
    double output = 0;
    for (const TraceRow& row : rows) {
      prompt += row.prompt_tokens;
      output += row.output_tokens;
    }
    CHECK(prompt / static_cast<double>(s.rows) == doctest::Approx(s.mean_prompt).epsilon(0.002));
    CHECK(output / static_cast<double>(s.rows) == doctest::Approx(s.mean_output).epsilon(0.002));
    CHECK(rows.front().arrival == SimTime(0));
  }
}
