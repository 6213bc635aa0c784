#include <fmt/format.h>

#include <charconv>
#include <functional>
#include <numeric>

#include "hardware/hardware_catalogue.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"

namespace moeplan {
namespace {

std::optional<FlopsPerSecond> optional_peak(const JsonReader& dense, const char* key) {
  if (!dense.has(key)) return std::nullopt;
  const FlopsPerSecond peak = dense.flops_rate(key);
  // 1 EFLOPS per device is a hundred times the fastest of today: a slip in the unit.
  if (peak.value() < 1e9 || peak.value() > 1e18) dense.at(key).fail("found a peak outside 1 GFLOPS to 1000 PFLOPS");
  return peak;
}

BytesPerSecond sane_bandwidth(const JsonReader& json, const char* key) {
  const BytesPerSecond rate = json.bandwidth(key);
  if (rate.value() < 1e6 || rate.value() > 1e15) json.at(key).fail("found a bandwidth outside 1 MB/s to 1 PB/s");
  return rate;
}

BytesPerSecond optional_bandwidth(const JsonReader& json, const char* key) {
  return json.has(key) ? sane_bandwidth(json, key) : BytesPerSecond();
}

void read_memory(const JsonReader& json, GpuSpec& gpu) {
  gpu.nominal_memory = json.bytes("memory");
  if (gpu.nominal_memory.as_double() < 1e9 || gpu.nominal_memory.as_double() > 1e14) json.at("memory").fail("found a memory outside 1 GB to 100 TB");
  gpu.memory = json.has("usable_memory") ? json.bytes("usable_memory") : gpu.nominal_memory;
  // Binary sized stacks hold up to 7.4 % more than their decimal label; ECC and firmware take at most a few GB.
  const double ratio = gpu.memory / gpu.nominal_memory;
  if (ratio < 0.75 || ratio > 1.08) {
    json.at("usable_memory").fail(fmt::format("found {:.3g} of the memory as sold, accepted: 0.75 to 1.08", ratio));
  }
  gpu.memory_type = json.string("memory_type", "");
  gpu.memory_bandwidth = sane_bandwidth(json, "memory_bandwidth");
  if (json.has("l2_cache")) gpu.l2_cache = json.bytes("l2_cache");
  if (json.has("last_level_cache")) gpu.last_level_cache = json.bytes("last_level_cache");
}

ScaleUpTopology topology_of(const JsonReader& json) {
  const std::string name = json.string("topology");
  for (const auto topology : {ScaleUpTopology::kSingle, ScaleUpTopology::kSwitch, ScaleUpTopology::kFullMesh, ScaleUpTopology::kPcieTree,
                              ScaleUpTopology::kRackSwitch, ScaleUpTopology::kTorus}) {
    if (to_string(topology) == name) return topology;
  }
  json.at("topology").fail("found '" + name + "', accepted: single, switch, full_mesh, pcie_tree, rack_switch, torus");
}

// "16x20x28"
std::vector<int> torus_of(const JsonReader& json) {
  const std::string text = json.string("torus");
  std::vector<int> out;
  const char* cursor = text.data();
  const char* const end = cursor + text.size();
  while (true) {
    int size = 0;
    const auto [next, error] = std::from_chars(cursor, end, size);
    if (error != std::errc() || size < 2 || size > 100'000) break;
    out.push_back(size);
    if (next == end && out.size() <= 3) return out;
    if (next == end || *next != 'x') break;
    cursor = next + 1;
  }
  json.at("torus").fail("found '" + text + "', accepted: one to three dimensions of 2 to 100000, such as '16x16'");
}

void read_scale_up(const JsonReader& json, NodeSpec& node) {
  node.topology = topology_of(json);
  const bool single = node.topology == ScaleUpTopology::kSingle;
  if (single != (node.gpus == 1)) {
    json.at("topology").fail(fmt::format("found '{}' for {} GPU{}, accepted: 'single' for one GPU and for one GPU only", to_string(node.topology), node.gpus,
                                         node.gpus == 1 ? "" : "s"));
  }
  node.scale_up_bandwidth = single ? optional_bandwidth(json, "scale_up_bandwidth") : sane_bandwidth(json, "scale_up_bandwidth");
  node.root_complexes = static_cast<int>(json.integer("root_complexes", 1));
  node.socket_bandwidth = json.has("socket_bandwidth") ? sane_bandwidth(json, "socket_bandwidth") : node.pcie_bandwidth * 2.0;
  if (node.topology == ScaleUpTopology::kPcieTree) {
    if (node.pcie_bandwidth.value() <= 0) json.fail("missing key 'pcie_bandwidth', needed by topology 'pcie_tree'");
    if (node.root_complexes > node.gpus) json.at("root_complexes").fail(fmt::format("found more than the {} GPUs", node.gpus));
  }
  if (node.topology != ScaleUpTopology::kTorus) return;
  node.torus = torus_of(json);
  const std::int64_t product = std::accumulate(node.torus.begin(), node.torus.end(), std::int64_t{1}, std::multiplies<>());
  if (product != node.gpus) json.at("torus").fail(fmt::format("dimensions make up {} GPUs, found {} in the node", product, node.gpus));
}

void read_scale_out(const JsonReader& json, NodeSpec& node) {
  node.nics = static_cast<int>(json.integer("nics", 0));
  if (node.nics == 0) return;
  node.nic_bandwidth = sane_bandwidth(json, "nic_bandwidth");
  if (json.string("transport", "infiniband") == "efa") node.transport = NetworkTransport::kEfa;
  const BytesPerSecond share = node.nic_bandwidth * (static_cast<double>(node.nics) / node.gpus);
  node.scale_out_bandwidth = json.has("scale_out_bandwidth") ? sane_bandwidth(json, "scale_out_bandwidth") : share;
  if (node.scale_out_bandwidth.value() > share.value() * 1.01) {
    json.at("scale_out_bandwidth").fail(fmt::format("found {:.4g} GB/s per GPU, but the NICs carry {:.4g} GB/s per GPU", node.scale_out_bandwidth.value() / 1e9,
                                                    share.value() / 1e9));
  }
}

}  // namespace

GpuSpec read_gpu(const JsonReader& json) {
  GpuSpec gpu;
  gpu.id = json.string("id");
  gpu.name = json.string("name");
  gpu.vendor = json.string("vendor");
  gpu.architecture = json.string("architecture");
  gpu.form = json.string("form", "");
  read_memory(json, gpu);
  const JsonReader dense = json.at("dense");
  gpu.dense = {optional_peak(dense, "fp32"), optional_peak(dense, "tf32"), optional_peak(dense, "bf16"), optional_peak(dense, "fp16"),
               optional_peak(dense, "fp8"),  optional_peak(dense, "int8"), optional_peak(dense, "fp4")};
  if (!gpu.dense.bf16 && !gpu.dense.fp16 && !gpu.dense.fp32) dense.fail("found none of bf16, fp16 and fp32, accepted: at least one of them");
  gpu.scale_up_type = json.string("scale_up_type", "");
  gpu.scale_up_bandwidth = sane_bandwidth(json, "scale_up_bandwidth");
  gpu.pcie_bandwidth = optional_bandwidth(json, "pcie_bandwidth");
  gpu.multiprocessors = static_cast<int>(json.integer("multiprocessors", 0));
  gpu.tdp_watts = json.has("tdp") ? json.watts("tdp") : 0.0;
  gpu.default_node = json.string("default_node");
  gpu.sources = json.strings("sources");
  gpu.notes = json.string("notes", "");
  return gpu;
}

NodeSpec read_node(const JsonReader& json) {
  NodeSpec node;
  node.id = json.string("id");
  node.gpu = json.string("gpu");
  node.gpus = static_cast<int>(json.integer("gpus"));
  if (node.gpus < 1 || node.gpus > 100'000) json.at("gpus").fail("found " + std::to_string(node.gpus) + ", accepted: 1 to 100000");
  node.pcie_bandwidth = optional_bandwidth(json, "pcie_bandwidth");
  if (json.has("host_memory")) node.host_memory = json.bytes("host_memory");
  if (json.has("nvme")) node.nvme = json.bytes("nvme");
  node.host_bandwidth = json.has("host_bandwidth") ? sane_bandwidth(json, "host_bandwidth") : node.pcie_bandwidth;
  node.peer_to_peer = json.boolean("peer_to_peer", true);
  read_scale_up(json, node);
  read_scale_out(json, node);
  if (json.has("max_power")) node.max_watts = json.watts("max_power");
  node.cpu = json.string("cpu", "");
  node.sources = json.strings("sources");
  node.notes = json.string("notes", "");
  return node;
}

GpuSpec load_gpu(const std::filesystem::path& file, const std::filesystem::path& schema) {
  const JsonDocument document = load_json(file, schema);
  return read_gpu(JsonReader(document));
}

NodeSpec load_node(const std::filesystem::path& file, const std::filesystem::path& schema) {
  const JsonDocument document = load_json(file, schema);
  return read_node(JsonReader(document));
}

}  // namespace moeplan
