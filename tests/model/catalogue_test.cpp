// Every model of the catalogue, against what its publisher says about it.
#include "input/catalogue.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "model/flops.hpp"
#include "model/layout_check.hpp"
#include "model/weights.hpp"
#include "support/input_error.hpp"
#include "tiny_models.hpp"

using namespace moeplan;
using namespace moeplan::test;

namespace {

constexpr double kTolerance = 0.015;

struct Entry {
  std::string file_id;
  ModelSpec model;
  std::string complaint;  ///< of load_model; "" when the model can be simulated
};

// Read once: checking 72 files against their schema takes a while under the sanitizers.
const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = [] {
    std::vector<Entry> out;
    for (const auto& id : catalogue_ids(models_folder())) {
      const auto file = models_folder() / (id + ".json");
      Entry entry{.file_id = id, .model = {}, .complaint = {}};
      entry.complaint = complaint_of([&] { entry.model = load_model(file, schema_folder()); });
      if (!entry.complaint.empty()) entry.model = read_model_entry(file, schema_folder());
      out.push_back(std::move(entry));
    }
    return out;
  }();
  return all;
}

// Encoder-decoders.
const std::set<std::string> kRefused = {"switch-base-128",
                                        "switch-base-8", "switch-c-2048", "switch-large-128"};

// Published labels that differ from any count of the weights by more than 1.5 %; each file gives the cause.
const std::set<std::string> kTotalExceptions = {"gemma-3-27b", "gemma-4-26b-a4b"};
const std::set<std::string> kActiveExceptions = {
    "deepseek-v2-lite", "ernie-4.5-21b-a3b", "gemma-4-26b-a4b",    "glm-4.5-air",
    "grok-1",           "minimax-m2",        "minimax-m2.5",       "nvidia-nemotron-3-super-120b-a12b-fp8",
    "qwen2-57b-a14b",   "qwen3-30b-a3b",     "qwen3-next-80b-a3b", "qwen3.5-122b-a10b",
    "qwen3.5-35b-a3b",  "qwen3.5-397b-a17b"};

}  // namespace

TEST_CASE("every catalogue file is a model, or is refused with a reason, under its own name and with a source") {
  CHECK(entries().size() == 72);
  for (const auto& [id, model, complaint] : entries()) {
    CAPTURE(id);
    CHECK(model.id == id);
    CHECK_FALSE(model.sources.empty());
    CHECK_FALSE(model.family.empty());
    CHECK(complaint.empty() == (kRefused.count(id) == 0));
    CHECK(complaint.empty() == model.refused.empty());
    if (!complaint.empty()) CHECK(complaint.find("model '" + id + "' cannot be simulated: " + model.refused) != std::string::npos);
  }
}

TEST_CASE("total parameters agree with the published counts within 1.5 %") {
  int checked = 0;
  for (const auto& [id, model, complaint] : entries()) {
    if (model.published.total_b == 0) continue;
    CAPTURE(id);
    const double error = count_parameters(model).total() / (model.published.total_b * 1e9) - 1;
    CAPTURE(error);
    const bool excepted = kTotalExceptions.count(id) > 0;
    CHECK((std::abs(error) <= kTolerance) == !excepted);
    CHECK(std::abs(error) <= 0.04);
    CHECK(model.published.total_exception.empty() == !excepted);
    CHECK_FALSE(model.published.source.empty());
    ++checked;
  }
  CHECK(checked == 58 + 8);  // every counted model of the first collection, and eight of the later configurations
}

TEST_CASE("active parameters agree with the published counts within 1.5 % in the convention each file names") {
  int checked = 0;
  for (const auto& [id, model, complaint] : entries()) {
    if (model.published.active_b == 0) continue;
    CAPTURE(id);
    const double active = count_parameters(model).active(model.published.active_convention, model.tied_embeddings);
    const double error = active / (model.published.active_b * 1e9) - 1;
    CAPTURE(error);
    const bool excepted = kActiveExceptions.count(id) > 0;
    CHECK((std::abs(error) <= kTolerance) == !excepted);
    CHECK(std::abs(error) <= 0.09);
    CHECK(model.published.active_exception.empty() == !excepted);
    ++checked;
  }
  CHECK(checked == 36 + 8);
}

TEST_CASE("one GPU's weights are all parameters times their width, for every model") {
  const DeploymentPrecision bf16{};
  for (const auto& [id, model, complaint] : entries()) {
    if (model.layers.empty()) continue;
    CAPTURE(id);
    const double parameters = count_parameters(model).total();
    CHECK(weight_bytes_per_gpu(model, bf16, {}).total().as_double() == doctest::Approx(2 * parameters).epsilon(1e-9));
  }
}

TEST_CASE("two GPUs never hold less than half of the weights each, nor more than all, for every model") {
  const DeploymentPrecision bf16{};
  for (const auto& [id, model, complaint] : entries()) {
    if (!complaint.empty()) continue;
    CAPTURE(id);
    const double all = weight_bytes_per_gpu(model, bf16, {}).total().as_double();
    for (const ParallelLayout& layout : {ParallelLayout{.tensor = 2}, ParallelLayout{.pipeline = 2}, ParallelLayout{.attention_data = 2}}) {
      if (complaint_of([&] { check_layout(model, layout, ""); }) != "") continue;
      const double share = weight_bytes_per_gpu(model, bf16, layout).total().as_double() / all;
      CHECK(share >= 0.5);
      CHECK(share <= 1.0);
    }
  }
}

TEST_CASE("FLOPs per token without context are twice the matrices used, within the vectors' share, for every model") {
  for (const auto& [id, model, complaint] : entries()) {
    if (!complaint.empty()) continue;
    CAPTURE(id);
    double states = 0;
    for (const auto& group : model.layers) states += 6 * group.count * state_elements(group.attention);
    const ParameterCount count = count_parameters(model);
    const double matrices = count.active_excluding_input_embedding(model.tied_embeddings);
    CHECK(flops_per_token(model, 0).value() - states == doctest::Approx(2 * matrices).epsilon(2e-3));
  }
}
