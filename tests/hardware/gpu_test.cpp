#include <doctest/doctest.h>

#include "base/error.hpp"
#include "hardware/profiles.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"

using namespace moeplan;

namespace {

// A GPU of round numbers; `change` replaces the text `from`.
std::string gpu_text(const std::string& from = "", const std::string& to = "") {
  std::string text = R"({ "id": "g", "name": "G", "vendor": "V", "architecture": "A", "memory": "100 GB", "usable_memory": "96 GB",
    "memory_bandwidth": "2 TB/s", "dense": { "bf16": "1 PFLOPS", "fp8": "2 PFLOPS" }, "scale_up_bandwidth": "400 GB/s", "default_node": "n", "sources": ["test"] })";
  if (!from.empty()) text.replace(text.find(from), from.size(), to);
  return text;
}

std::string node_text(const std::string& from = "", const std::string& to = "") {
  std::string text = R"({ "id": "n", "gpu": "g", "gpus": 8, "topology": "switch", "scale_up_bandwidth": "400 GB/s", "nics": 4, "nic_bandwidth": "400 Gbit/s",
    "scale_out_bandwidth": "25 GB/s", "pcie_bandwidth": "64 GB/s", "sources": ["test"] })";
  if (!from.empty()) text.replace(text.find(from), from.size(), to);
  return text;
}

template <class Read>
std::string refusal(const std::string& text, const char* kind, Read read) {
  try {
    const JsonDocument document = parse_json(text, "x.json", test::schema(kind));
    read(JsonReader(document));
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}
std::string gpu_refusal(const std::string& from, const std::string& to) {
  return refusal(gpu_text(from, to), "gpu", [](const JsonReader& json) { read_gpu(json); });
}
std::string node_refusal(const std::string& from, const std::string& to) {
  return refusal(node_text(from, to), "node", [](const JsonReader& json) { read_node(json); });
}
bool mentions(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an inline GPU and node of round numbers are read as written") {
  const JsonDocument gpu_document = parse_json(gpu_text(), "x.json", test::schema("gpu"));
  const GpuSpec gpu = read_gpu(JsonReader(gpu_document));
  CHECK(gpu.memory == Bytes(96'000'000'000));
  CHECK(gpu.nominal_memory == Bytes(100'000'000'000));
  CHECK(gpu.dense.fp8->value() == doctest::Approx(2e15));
  CHECK_FALSE(gpu.dense.int8.has_value());
  CHECK(gpu.pcie_bandwidth.value() == 0);
  const JsonDocument node_document = parse_json(node_text(), "x.json", test::schema("node"));
  const NodeSpec node = read_node(JsonReader(node_document));
  CHECK(node.topology == ScaleUpTopology::kSwitch);
  CHECK(node.nic_bandwidth.value() == doctest::Approx(50e9));
  CHECK(node.scale_out_bandwidth.value() == doctest::Approx(25e9));
}

TEST_CASE("products run in the format of the weights where the device has units for it, else in bf16") {
  const GpuSpec a100 = test::gpu("a100-sxm-80"), h100 = test::gpu("h100-sxm"), b200 = test::gpu("b200-sxm");
  CHECK(a100.compute_precision(Precision::kFp8) == Precision::kBf16);
  CHECK(a100.compute_precision(Precision::kInt8) == Precision::kInt8);
  CHECK(h100.compute_precision(Precision::kFp8Block) == Precision::kFp8Block);
  CHECK(h100.compute_precision(Precision::kMxfp4) == Precision::kBf16);
  CHECK(h100.compute_precision(Precision::kInt4) == Precision::kBf16);
  CHECK(b200.compute_precision(Precision::kNvfp4) == Precision::kNvfp4);
  CHECK(b200.peak(Precision::kMxfp4)->value() == doctest::Approx(9e15));
  CHECK_FALSE(b200.peak(Precision::kInt4).has_value());
}

TEST_CASE("a device with fp16 alone computes unknown formats in fp16") {
  GpuSpec gpu;
  gpu.dense.fp16 = FlopsPerSecond(1e12);
  CHECK(gpu.compute_precision(Precision::kBf16) == Precision::kFp16);
  gpu.dense = {};
  CHECK(gpu.compute_precision(Precision::kBf16) == Precision::kFp32);
}

TEST_CASE("a GPU file with a wrong figure is refused by place and reason") {
  CHECK(mentions(gpu_refusal("\"2 TB/s\"", "2000"), "memory_bandwidth"));
  CHECK(mentions(gpu_refusal("\"2 TB/s\"", "\"2000\""), "no unit"));
  CHECK(mentions(gpu_refusal("\"2 TB/s\"", "\"0 GB/s\""), "/memory_bandwidth: found a bandwidth outside"));
  CHECK(gpu_refusal("\"96 GB\"", "\"100 GiB\"") == "accepted");  // 107.4 of 100 GB: a stack sized in GiB
  CHECK(mentions(gpu_refusal("\"96 GB\"", "\"101 GiB\""), "/usable_memory"));
  CHECK(mentions(gpu_refusal("\"96 GB\"", "\"960 GB\""), "/usable_memory"));
  CHECK(mentions(gpu_refusal("\"1 PFLOPS\"", "\"1 FLOPS\""), "/dense/bf16"));
  CHECK(mentions(gpu_refusal("\"bf16\": \"1 PFLOPS\", ", ""), "none of bf16, fp16 and fp32"));
  CHECK(mentions(gpu_refusal("\"vendor\"", "\"vendro\""), "vend"));
}

TEST_CASE("a node file that contradicts itself is refused by place and reason") {
  CHECK(mentions(node_refusal("\"25 GB/s\"", "\"50 GB/s\""), "the NICs carry 25 GB/s per GPU"));
  CHECK(mentions(node_refusal("\"gpus\": 8", "\"gpus\": 1"), "/topology"));
  CHECK(mentions(node_refusal("\"switch\"", "\"single\""), "one GPU"));
  CHECK(mentions(node_refusal("\"switch\"", "\"torus\", \"torus\": \"2x3\""), "make up 6 GPUs, found 8"));
  CHECK(mentions(node_refusal("\"switch\"", "\"torus\", \"torus\": \"8x1\""), "/torus"));
  CHECK(mentions(node_refusal("\"switch\"", "\"torus\", \"torus\": \"99999999999999\""), "/torus"));
  CHECK(mentions(node_refusal("\"switch\"", "\"pcie_tree\", \"root_complexes\": 9"), "/root_complexes"));
  CHECK(mentions(node_refusal("\"switch\"", "\"ring\""), "/topology"));
  CHECK(node_refusal("\"switch\"", "\"torus\", \"torus\": \"2x4\"") == "accepted");
}
