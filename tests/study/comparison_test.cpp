// Scenarios side by side: rows, capacities, verdicts.
#include <cmath>

#include "study/compare_verdict.hpp"
#include "support/compare_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
using doctest::Approx;
using nlohmann::json;

TEST_CASE("a scenario beside itself differs in nothing") {
  const Comparison c = compared({input(scenario()), input(scenario())});
  CHECK(c.same_workload);
  CHECK(c.differences.empty());
  CHECK(c.crossings.empty());
  REQUIRE(c.effects.size() == 1);
  CHECK(c.effects[0].input == "all of it");
  for (const auto& [metric, change] : c.effects[0].change) CHECK(change == 0);
  CHECK(*c.rows[0].ttft_p99_s == *c.rows[1].ttft_p99_s);
}

TEST_CASE("of equally cheap scenarios the one that carries more is named first, and any lower price turns it over") {
  const auto row = [](const char* name, double usd, double capacity) {
    ComparedRow r;
    r.name = name;
    r.model = name;
    r.gpu = "g";
    r.gpus = 2;
    r.fits = true;
    r.deployments_needed = 1;
    r.usd_per_hour = r.usd_per_hour_needed = usd;
    r.usd_per_million_needed = r.usd_per_million_output_tokens = usd / 4;
    r.capacity_per_s = capacity;
    return r;
  };
  Comparison c;
  c.same_workload = true;
  c.load_per_s = 3;
  c.rows = {row("Less", 4, 5), row("More", 4, 6)};
  c.rows[0].joules_per_output_token = 1.722;
  c.rows[1].joules_per_output_token = 1.72;
  write_verdict(c);
  CHECK(contains(c.verdict, "More and Less take the least energy per output token (1.7 J), with no difference beyond noise."));  // 0.1 %
  CHECK(contains(c.verdict, "More is the cheapest that carries 3 requests/s within its objectives: 2 g, 4.00 USD/h, 1.00 USD per million output tokens; Less costs the same (2 g)."));
  REQUIRE(c.flips.size() == 1);
  CHECK(c.flips[0] == "Less costs the same as More: it becomes the cheapest when the price of its GPU-hour falls below the 2.00 USD of now");
  // 4.004 USD/h: 2.002 USD per GPU-hour, 0.1 % more than 2
  c.rows[0] = row("Less", 4.004, 5);
  c.flips.clear();
  write_verdict(c);
  CHECK(contains(c.verdict, "Less costs less than 1 % more"));
  CHECK(c.flips[0] == "Less becomes the cheapest when the price of its GPU-hour falls by 0.1 % (now 2.00 USD), the others' costs staying");
  c.rows[0] = row("Less", 5, 5);
  c.rows[0].joules_per_output_token = 2;
  c.rows[1].joules_per_output_token = 1.72;
  c.flips.clear();
  write_verdict(c);
  CHECK(c.flips[0] == "Less becomes the cheapest when the price of its GPU-hour falls below 2.00 USD (now 2.50), the others' costs staying");
  CHECK(contains(c.verdict, "More takes the least energy per output token (1.7 J)."));
  // Under clients that wait, the one of equal cost per hour that serves fewer tokens: 4 USD/h again, but 25 % more per token.
  c.rows[0] = row("Less", 4, 5);
  c.rows[0].usd_per_million_needed = 1.25;
  c.flips.clear();
  write_verdict(c);
  CHECK(c.flips[0] == "Less becomes the cheapest when the price of its GPU-hour falls below 1.60 USD (now 2.00), the others' costs staying");
  c.rows[0] = row("Less", 5, 5);
  // What hardware costs its owner is no price of anybody; who does not carry the load is no example of thrift.
  c.rows[0].owned = true;
  c.rows[1].saturated = true;
  c.flips.clear();
  write_verdict(c);
  CHECK(c.flips[0] == "Less becomes the cheapest when what its owner pays per GPU in use and hour falls below 2.00 USD (now 2.50), the others' costs staying");
  CHECK_FALSE(contains(c.verdict, "More takes the least energy"));
}

TEST_CASE("what noise or the error of a capacity explains is called no difference") {
  const auto row = [](const char* name, double usd) {
    ComparedRow r;
    r.name = r.model = name;
    r.gpu = "g";
    r.gpus = 1;
    r.fits = true;
    r.deployments_needed = 3;
    r.fewest_needed = r.most_needed = 3;
    r.usd_per_hour = usd / 3;
    r.usd_per_hour_needed = usd;
    r.usd_per_million_needed = r.usd_per_million_output_tokens = usd / 4;
    r.usd_per_million_at_capacity = usd / 5;
    r.tpot_p50_s = r.joules_per_output_token = usd / 100;
    return r;
  };
  const auto judged = [](Comparison c) {
    write_verdict(c);
    return c;
  };
  Comparison c;
  c.load_per_s = 3;
  // 2 % apart: more than noise between runs of half a per cent, exact where both numbers of deployments are sure.
  c.rows = {row("A", 4), row("B", 4.08)};
  std::string verdict = judged(c).verdict;
  CHECK(contains(verdict, "A has the shortest median time per output token at load (40.0 ms)."));
  CHECK(contains(verdict, "A takes the least energy"));
  CHECK_FALSE(contains(verdict, "no difference"));
  // Two standard deviations of 1.5 % each explain 2.1 %.
  c.rows[0].noise = c.rows[1].noise = {0.015, 0.015, 0.015};
  verdict = judged(c).verdict;
  CHECK(contains(verdict, "A and B have the shortest median time per output token at load (40.0 ms), with no difference beyond noise."));
  CHECK(contains(verdict, "A and B take the least energy per output token (0.04 J), with no difference beyond noise."));
  CHECK_FALSE(contains(verdict, "The costs of"));
  // Clients that wait: the tokens of an hour are the run's.
  c.load_per_s.reset();
  CHECK(contains(judged(c).verdict, "The costs of A and B show no difference beyond noise."));
  c.rows[1] = row("B", 5);
  CHECK_FALSE(contains(judged(c).verdict, "The costs of"));
  // A may need four: 5.33 USD/h against B's 5.
  c.load_per_s = 3;
  c.rows[0].most_needed = 4;
  verdict = judged(c).verdict;
  CHECK(contains(verdict, "A may need 3 to 4 deployments: what one carries is known to 3 %. Within that error it is not known which of A and B costs least."));
  c.rows[1] = row("B", 6);
  verdict = judged(c).verdict;
  CHECK(contains(verdict, "A may need 3 to 4 deployments"));
  CHECK_FALSE(contains(verdict, "The costs of"));
  // Filled to capacity B is cheaper, by 3 % or by 10.
  c.rows[1].usd_per_million_at_capacity = 0.777;
  const Comparison near = judged(c);
  CHECK(std::any_of(near.flips.begin(), near.flips.end(), [](const std::string& f) { return contains(f, "B costs 0.78 USD per million output tokens and A 0.80: no difference beyond the error of capacities (3 %)"); }));
  c.rows[1].usd_per_million_at_capacity = 0.72;
  const Comparison far = judged(c);
  CHECK(std::any_of(far.flips.begin(), far.flips.end(), [](const std::string& f) { return contains(f, "B is the cheapest: 0.72 USD per million output tokens against 0.80"); }));
}

TEST_CASE("one deployment under its own load costs the same per token wherever that is said, at the stated rate") {
  const Comparison c = compared({input(scenario()), input(scenario())});
  const ComparedRow& row = c.rows[0];
  REQUIRE(row.deployments_needed == 1);
  CHECK(*row.offered_per_s == scenario_rate());
  CHECK(*c.load_per_s == scenario_rate());
  CHECK(*row.usd_per_million_needed == Approx(*row.usd_per_million_output_tokens).epsilon(1e-12));
  CHECK(*row.usd_per_million_output_tokens == Approx(*row.usd_per_hour / 3600 / *row.output_tokens_per_s * 1e6));
}

TEST_CASE("clients whose objectives are missed are not carried, and the verdict says why") {
  json closed = with(scenario(), "/workload/arrivals", R"({"process": "closed", "concurrency": 8})");
  const json missed = with(with(closed, "/objectives", R"({"tpot_p99": "1 ms"})"), "/name", R"("Late")");
  const Comparison c = compared({input(closed), input(missed)});
  CHECK_FALSE(c.load_per_s);
  CHECK(c.rows[0].deployments_needed == 1);
  CHECK_FALSE(c.rows[1].deployments_needed);
  CHECK(contains(c.verdict, "Late is out: misses the objectives at any load, tpot_p99"));
}

TEST_CASE("another model brings its context") {
  json longer = scenario();
  json shorter = with(scenario(), "/model", R"("mixtral-8x22b")");
  shorter["cluster"] = longer["cluster"] = {{"node", "hgx-h200"}, {"gpus", 8}};
  shorter["deployment"]["parallel"] = longer["deployment"]["parallel"] = {{"tensor", 8}};
  const Comparison c = compared({input(shorter), input(longer)});
  REQUIRE(difference(c, "/deployment/scheduler/max_context") != nullptr);
  const Effect* checkpoint = effect(c, "checkpoint");
  REQUIRE(checkpoint != nullptr);
  CHECK(checkpoint->note == "");
  CHECK(checkpoint->change.count("tpot_p99") == 1);
  CHECK(effect(c, "scheduler") == nullptr);
}

TEST_CASE("equal workloads give equal requests whatever the scenarios' seeds") {
  json other = with(scenario(), "/seed", "7");
  other["model"] = "llama-3.1-70b";
  other["cluster"] = {{"node", "hgx-h200"}, {"gpus", 2}};
  other["deployment"]["precision"] = {{"weights", "fp8"}};
  other.erase("routing");
  const Comparison c = compared({input(scenario()), input(other)});
  CHECK(*c.rows[0].offered_per_s == *c.rows[1].offered_per_s);
  CHECK(*c.rows[0].output_tokens_per_s == *c.rows[1].output_tokens_per_s);  // mean lengths are drawn, too
  REQUIRE(difference(c, "/seed") != nullptr);
  CHECK(difference(c, "/seed")->values == std::vector<std::string>{"1", "7"});
  CHECK(difference(c, "/model")->values == std::vector<std::string>{"mixtral-8x7b", "llama-3.1-70b"});
}

TEST_CASE("dense and sparse: the JSON matches the schema, the verdict names what the sparse model trades") {
  json dense = scenario();
  dense["name"] = "Dense";
  dense["model"] = "llama-2-13b";
  dense["quality"] = 55;
  json sparse = with(scenario(), "/name", R"("Sparse")");
  sparse["quality"] = {{"score", 70}, {"benchmark", "ours"}};
  for (json* s : {&dense, &sparse}) {
    (*s)["workload"]["prompt_tokens"] = {{"distribution", "uniform"}, {"low", 400}, {"high", 600}};
    (*s)["workload"]["output_tokens"] = {{"distribution", "uniform"}, {"low", 16}, {"high", 48}};
    (*s)["workload"]["arrivals"]["rate"] = "2 /s";
  }
  const Comparison c = compared({input(dense), input(sparse)});
  const std::string text = comparison_json(c, data());
  CHECK(complaint_of([&] { parse_json(text, "comparison", kRoot / "reports/schema/result.schema.json"); }) == "");
  const ComparedRow& d = c.rows[0];
  const ComparedRow& s = c.rows[1];
  CHECK_FALSE(d.moe);
  CHECK(s.moe);
  CHECK(s.weights_bytes > 3 * d.weights_bytes);
  CHECK(*s.flops_per_token < 1.1 * *d.flops_per_token);
  CHECK(*d.batch1_tpot_s < *d.tpot_p50_s);
  CHECK(*d.usd_per_million_per_quality == Approx(*d.usd_per_million_needed / 55));
  CHECK(contains(c.verdict, "Against dense Dense, Sparse takes"));
  CHECK(contains(c.verdict, "is the cheapest that carries"));
  CHECK(contains(c.verdict, "Per point of the quality"));
  for (const Sensitivity& line : c.sensitivity) {
    CAPTURE(line.parameter);
    REQUIRE(line.by_scenario.size() == 2);
    if (line.parameter != "routing_skew") continue;
    // A dense model has no routing to skew; a sparse one does.
    CHECK(line.by_scenario[0].front() == line.by_scenario[0].back());
    CHECK(line.by_scenario[1].front() != line.by_scenario[1].back());
  }
  CHECK(contains(comparison_summary(c), "VRAM for weights"));
}

TEST_CASE("a small load takes one deployment, a large one as many as its capacity asks") {
  json busy = with(scenario(), "/workload/arrivals/rate", R"("200 /s")");
  const Comparison c = compared({input(busy), input(with(busy, "/deployment/scheduler/max_batch_requests", "32"))});
  const ComparedRow& row = c.rows[0];
  CHECK_FALSE(row.objectives_met);
  REQUIRE(row.deployments_needed.has_value());
  CHECK(*row.deployments_needed == static_cast<int>(std::ceil(*c.load_per_s / *row.capacity_per_s)));
  CHECK(*row.usd_per_hour_needed == Approx(*row.deployments_needed * *row.usd_per_hour));
}

TEST_CASE("pools on two kinds of GPU are named with both, stored or not, and cost what both cost; a run that is too short is noted") {
  const TemporaryFolder folder;
  json pools = scenario();
  pools["deployment"].erase("replicas");
  pools["deployment"]["disaggregation"] = {{"prefill", {{"cluster", {{"node", "hgx-h100"}}}, {"replicas", 2}}}, {"decode", {{"cluster", {{"node", "hgx-h200"}}}}}};
  pools["cost"] = {{"rental", "auto"}};
  json brief = scenario();
  brief["workload"]["requests"] = 30;
  brief["workload"]["arrivals"]["rate"] = "200 /s";
  json result = result_of(pools);
  result["scenario"]["model"] = "gone-with-the-wind";
  const Comparison c = compared({input(pools), stored(folder, result), input(brief)});
  for (const std::size_t i : {0U, 1U}) {
    CHECK(c.rows[i].gpu == "(h100-sxm + h200-sxm)");
    CHECK(c.rows[i].gpus == 6);
  }
  const ComparedRow& row = c.rows[0];
  REQUIRE(row.capacity_per_s.value_or(0) > 0);
  const auto listed = [&](const char* gpu) {
    json one = scenario();
    one["cluster"] = {{"node", std::string("hgx-") + gpu}, {"gpus", 2}};
    one["cost"] = {{"rental", "auto"}};
    return *resolved(one).cost.rental_usd_per_gpu_hour;
  };
  // 4 GPUs for prefill, 2 that decode; answers of 4 to 12 tokens
  const double per_hour = 4 * listed("h100") + 2 * listed("h200");
  CHECK(*row.usd_per_hour == Approx(per_hour));
  CHECK(*row.usd_per_million_at_capacity == Approx(per_hour / 3600 / (8 * *row.capacity_per_s) * 1e6).epsilon(0.01));
  CHECK(std::count_if(c.notes.begin(), c.notes.end(), [](const std::string& note) { return contains(note, "raise `requests`"); }) == 1);
}

TEST_CASE("a model that does not fit is a column without latencies") {
  const Comparison c =
      compared({input(with(with(scenario(), "/cluster/gpus", "1"), "/deployment/parallel/tensor", "1")), input(scenario())});
  CHECK_FALSE(c.rows[0].fits);
  CHECK_FALSE(c.rows[0].ttft_p99_s.has_value());
  CHECK(contains(c.verdict, "is out: does not fit"));
  CHECK(complaint_of([&] { parse_json(comparison_json(c, data()), "comparison", kRoot / "reports/schema/result.schema.json"); }) == "");
}
