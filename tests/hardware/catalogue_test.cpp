#include <doctest/doctest.h>

#include <algorithm>

#include "base/error.hpp"
#include "hardware/profiles.hpp"
#include "input/catalogue.hpp"
#include "input/csv.hpp"

using namespace moeplan;
using namespace moeplan::literals;

TEST_CASE("every accelerator of the catalogue loads, under its own file name, with sane figures and sources") {
  const auto ids = catalogue_ids(test::profiles("gpus"));
  CHECK(ids.size() >= 30);
  for (const std::string& id : ids) {
    CAPTURE(id);
    const GpuSpec gpu = test::gpu(id);
    CHECK(gpu.id == id);
    CHECK(gpu.memory >= 16_GB);
    CHECK(gpu.memory <= 320_GB);
    CHECK(gpu.memory_bandwidth.value() >= 300e9);
    CHECK(gpu.memory_bandwidth.value() <= 8000e9);
    // A dense 16-bit peak above 2.6 PFLOPS would be a sparse figure.
    CHECK(gpu.dense.bf16.value().value() >= 70e12);
    CHECK(gpu.dense.bf16.value().value() <= 2.6e15);
    CHECK(gpu.scale_up_bandwidth.value() >= 32e9);
    CHECK(gpu.scale_up_bandwidth.value() <= 900e9);
    CHECK_FALSE(gpu.sources.empty());
  }
}

TEST_CASE("an 8-bit peak is at least the 16-bit peak and at most twice it, 4-bit at most six times") {
  for (const std::string& id : catalogue_ids(test::profiles("gpus"))) {
    CAPTURE(id);
    const MatmulPeaks dense = test::gpu(id).dense;
    const double bf16 = dense.bf16.value().value();
    if (dense.fp8) {
      CHECK(dense.fp8->value() >= bf16);
      CHECK(dense.fp8->value() <= 2.03 * bf16);
    }
    if (dense.fp4) {
      CHECK(dense.fp4->value() >= 3.9 * bf16);
      CHECK(dense.fp4->value() <= 8.01 * bf16);
    }
  }
}

TEST_CASE("every accelerator's default node exists and holds that accelerator") {
  for (const std::string& id : catalogue_ids(test::profiles("gpus"))) {
    CAPTURE(id);
    const GpuSpec gpu = test::gpu(id);
    const NodeSpec node = test::node(gpu.default_node);
    CHECK(node.gpu == id);
    CHECK(node.gpus >= 4);
  }
}

TEST_CASE("default nodes hold as many accelerators as published runs used") {
  for (const char* id : {"a100-sxm-80", "h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "rtx-pro-6000-server", "l40s", "mi300x", "gb200"}) {
    CAPTURE(id);
    CHECK(test::node(test::gpu(id).default_node).gpus >= 8);
  }
}

TEST_CASE("every node of the catalogue loads, names a known accelerator and agrees with it on the fabric") {
  const auto ids = catalogue_ids(test::profiles("nodes"));
  CHECK(ids.size() >= 34);
  const auto gpus = catalogue_ids(test::profiles("gpus"));
  for (const std::string& id : ids) {
    CAPTURE(id);
    const NodeSpec node = test::node(id);
    CHECK(node.id == id);
    REQUIRE(std::find(gpus.begin(), gpus.end(), node.gpu) != gpus.end());
    const GpuSpec gpu = test::gpu(node.gpu);
    if (node.gpus > 1) CHECK(node.scale_up_bandwidth.value() <= gpu.scale_up_bandwidth.value());
    if (node.nics > 0) CHECK(node.scale_out_bandwidth.value() * node.gpus <= node.nic_bandwidth.value() * node.nics * 1.01);
    CHECK_FALSE(node.sources.empty());
  }
}

TEST_CASE("cards that people buy singly have a node of one") {
  for (const char* id : {"rtx-4090", "rtx-5090", "rtx-6000-ada", "rtx-pro-6000-server", "l40s", "l4", "a10g", "a100-pcie-80", "h100-pcie", "h100-sxm"}) {
    CAPTURE(id);
    const NodeSpec node = test::node(std::string("1x-") + id);
    CHECK(node.gpus == 1);
    CHECK(node.gpu == id);
  }
}

TEST_CASE("the H100 SXM is the one of the datasheet") {
  const GpuSpec h100 = test::gpu("h100-sxm");
  CHECK(h100.name == "NVIDIA H100 SXM5 80 GB");
  CHECK(h100.architecture == "Hopper");
  CHECK(h100.nominal_memory == 80_GB);
  CHECK(h100.memory == Bytes(81559LL * 1024 * 1024));  // as nvidia-smi shows it
  CHECK(h100.memory_bandwidth.value() == doctest::Approx(3.35e12));
  CHECK(h100.peak(Precision::kBf16)->value() == doctest::Approx(989.4e12));
  CHECK(h100.peak(Precision::kFp8)->value() == doctest::Approx(1978.9e12));
  CHECK_FALSE(h100.peak(Precision::kNvfp4).has_value());
  CHECK(h100.scale_up_bandwidth.value() == doctest::Approx(450e9));
  CHECK(h100.multiprocessors == 132);
  CHECK(h100.tdp_watts == doctest::Approx(700));
  CHECK(h100.default_node == "hgx-h100");
  const NodeSpec node = test::node("hgx-h100");
  CHECK(node.gpus == 8);
  CHECK(node.nic_bandwidth.value() == doctest::Approx(50e9));  // 400 Gbit/s
  CHECK(node.scale_out_bandwidth.value() == doctest::Approx(50e9));
  CHECK(node.max_watts.value() == doctest::Approx(10'200));
}

TEST_CASE("where sources disagree the stated choice is in the catalogue") {
  CHECK(test::gpu("b200-sxm").memory_bandwidth.value() == doctest::Approx(7.7e12));
  CHECK(test::gpu("b300-sxm").dense.fp4->value() == doctest::Approx(13.5e15));
  CHECK(test::gpu("rtx-pro-6000-server").memory_bandwidth.value() == doctest::Approx(1.597e12));
  CHECK(test::gpu("mi355x").dense.bf16->value() == doctest::Approx(2516.6e12));
}

TEST_CASE("every price names its unit and a positive value, and the accelerators that people rent have one") {
  CsvReader csv(test::profiles("prices.csv"));
  const auto item = csv.column("item"), kind = csv.column("kind"), unit = csv.column("unit"), value = csv.column("value");
  const auto source = csv.column("source"), provider = csv.column("provider"), date = csv.column("date"), notes = csv.column("notes");
  CHECK(notes == csv.header().size() - 1);
  std::vector<std::string> rented;
  std::size_t rows = 0;
  while (csv.next()) {
    ++rows;
    CAPTURE(csv.where());
    CHECK(csv.number(value) > 0);
    CHECK_FALSE(csv.empty(source));
    CHECK_FALSE(csv.empty(provider));
    CHECK_FALSE(csv.empty(date));
    if (csv.text(kind).substr(0, 6) == "rental") {
      CHECK(csv.text(unit) == "USD/h per GPU");
      CHECK(csv.number(value) < 20);
      rented.emplace_back(csv.text(item));
    }
  }
  CHECK(rows == 128);
  for (const char* id : {"h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "mi300x", "a100-sxm-80", "l40s", "rtx-4090", "rtx-pro-6000-server"}) {
    CAPTURE(id);
    CHECK(std::find(rented.begin(), rented.end(), id) != rented.end());
  }
}

TEST_CASE("an unknown GPU is refused with the nearest ones named") {
  try {
    find_catalogue_file(test::profiles("gpus"), "h100-smx", "GPU", ".", "scenario.json: /cluster/gpu");
    FAIL("accepted");
  } catch (const InputError& error) {
    const std::string what = error.what();
    CHECK(what.find("scenario.json: /cluster/gpu") != std::string::npos);
    CHECK(what.find("h100-smx") != std::string::npos);
    CHECK(what.find("'h100-sxm'") != std::string::npos);
  }
}
