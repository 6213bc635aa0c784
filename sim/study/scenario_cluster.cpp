// The "cluster" of a scenario or a pool: GPU, node and how many of them.
#include "hardware/hardware_catalogue.hpp"
#include "study/scenario_context.hpp"
#include "study/scenario_network.hpp"

namespace moeplan {
namespace fs = std::filesystem;

namespace {

GpuSpec load_gpu_entry(ScenarioContext& context, const JsonReader& parent) {
  const fs::path schema = context.data.schema("gpu");
  return load_entry(
      context, parent, "gpu", "GPU", context.data.gpus(), schema, [&](const fs::path& file) { return load_gpu(file, schema); },
      [](const JsonReader& reader) { return read_gpu(reader); });
}

GpuSpec load_gpu_by_id(ScenarioContext& context, const std::string& id, const std::string& where) {
  const fs::path file = find_catalogue_file(context.data.gpus(), id, "GPU", context.folder, where);
  context.scenario.files.push_back(file);
  return load_gpu(file, context.data.schema("gpu"));
}

/// The GPU of the node just loaded: for a node named by its path the gpu.json beside it, as moeplan-microbench leaves the two; else the catalogue's.
GpuSpec load_gpu_of_node(ScenarioContext& context, const std::string& id, const JsonReader& node) {
  if (node.value().is_string()) {
    const fs::path beside = context.scenario.files.back().parent_path() / "gpu.json";
    std::error_code ignored;
    if (fs::is_regular_file(beside, ignored)) {
      context.scenario.files.push_back(beside);
      return load_gpu(beside, context.data.schema("gpu"));
    }
  }
  return load_gpu_by_id(context, id, node.where());
}

NodeSpec load_node_by_id(ScenarioContext& context, const std::string& id, const std::string& where) {
  const fs::path file = find_catalogue_file(context.data.nodes(), id, "node", context.folder, where);
  context.scenario.files.push_back(file);
  return load_node(file, context.data.schema("node"));
}

}  // namespace

ClusterSpec resolve_cluster(ScenarioContext& context, const JsonReader& reader) {
  ClusterSpec cluster;
  if (!reader.has("node") && !reader.has("gpu")) reader.fail("name a \"node\" or a \"gpu\"");
  if (reader.has("gpu")) cluster.gpu = load_gpu_entry(context, reader);
  if (reader.has("node")) {
    const fs::path schema = context.data.schema("node");
    cluster.node = load_entry(
        context, reader, "node", "node", context.data.nodes(), schema, [&](const fs::path& file) { return load_node(file, schema); },
        [](const JsonReader& entry) { return read_node(entry); });
    if (!reader.has("gpu")) cluster.gpu = load_gpu_of_node(context, cluster.node.gpu, reader.at("node"));
  } else {
    cluster.node = load_node_by_id(context, cluster.gpu.default_node, reader.at("gpu").where());
  }
  if (cluster.node.gpu != cluster.gpu.id) {
    reader.fail(fmt::format("node '{}' holds '{}', not '{}'", cluster.node.id, cluster.node.gpu, cluster.gpu.id));
  }
  cluster.node.peer_to_peer = reader.boolean("peer_to_peer", cluster.node.peer_to_peer);
  cluster.nodes = static_cast<int>(reader.integer("nodes", 1));
  const std::int64_t all = static_cast<std::int64_t>(cluster.nodes) * cluster.node.gpus;
  const std::int64_t used = reader.integer("gpus", all);
  if (used > all) {
    reader.at("gpus").fail(fmt::format("{} GPUs asked of a cluster of {} ({} x {} of {})", used, all, cluster.nodes, cluster.node.id, cluster.node.gpus));
  }
  cluster.gpus = static_cast<int>(used);
  cluster.fabric = parse_fabric(reader);
  return cluster;
}

}  // namespace moeplan
