// A plan search small enough to try everything beside it: a dense model of 8 billion parameters on kernels from the datasheet.
#pragma once

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "study/plan.hpp"
#include "study/plan_journal.hpp"
#include "study/plan_report.hpp"
#include "support/study_fixture.hpp"

namespace moeplan::test {

using nlohmann::json;

/// A small dense model; kernels from the datasheet are quick to make.
inline json small_question() {
  return json::parse(R"({
    "name": "small", "model": "llama-3.1-8b", "cluster": {"gpu": "l40s"},
    "deployment": {"engine": "vllm", "cost_profile": "datasheet"},
    "workload": {
      "arrivals": {"process": "poisson", "rate": "30 /s"},
      "prompt_tokens": {"distribution": "uniform", "low": 100, "high": 900},
      "output_tokens": {"distribution": "uniform", "low": 20, "high": 100},
      "requests": 330, "warmup_requests": 30
    },
    "objectives": {"ttft_p90": "500 ms", "tpot_p90": "40 ms"},
    "search": {"parallel": [{"tensor": 1}, {"tensor": 2}], "schedulers": [{"max_batch_requests": 64}, {"max_batch_requests": 16}], "limits": {"gpus": 16}},
    "cost": {"rental": "auto"}
  })");
}

inline PlanSpace space_of(const json& question) {
  return lay_out_plan(parse_json(question.dump(), "s.json", data().schema("scenario")), std::filesystem::path(MOEPLAN_SOURCE_DIR) / "scenarios", data());
}

inline PlanAnswer answer_of(const PlanSpace& space, PlanOptions options = {}) { return search_plan(space, data(), options); }

/// The answer as JSON, checked against the schema of results.
inline json result_of(const PlanSpace& space, const PlanAnswer& answer, const ErrorModel* errors = nullptr) {
  const std::string text = plan_json(space, answer, report_plan(space, answer, {errors}), data());
  CHECK(complaint_of([&] { parse_json(text, "result", std::filesystem::path(MOEPLAN_SOURCE_DIR) / "reports/schema/result.schema.json"); }) == "");
  return json::parse(text);
}

inline std::string whole_answer(const PlanSpace& space, PlanOptions options) {
  const PlanAnswer answer = answer_of(space, options);
  return plan_json(space, answer, report_plan(space, answer, {}), data());
}

/// What a cut search has left in the journal of `folder` completes it to `expected`.
inline void check_completed(const PlanSpace& space, PlanOptions options, const std::filesystem::path& folder, const std::string& expected) {
  PlanJournal journal(folder, space.inputs, 0);
  options.journal = &journal;
  options.out_of_time = {};
  CHECK(whole_answer(space, options) == expected);
}

/// A replica of the first group of a space.
struct FirstReplica {
  explicit FirstReplica(const PlanSpace& space) : config(space.groups[0].config), deployment(config) {}
  FirstReplica(const FirstReplica&) = delete;
  const DeploymentConfig& config;
  Deployment deployment;
  PlanReplica replica{config, deployment.memory().plan, deployment.cost()};
};

}  // namespace moeplan::test
