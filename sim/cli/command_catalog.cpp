#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/price_lines.hpp"
#include "cli/workload_line.hpp"
#include "hardware/hardware_catalogue.hpp"
#include "input/catalogue.hpp"
#include "model/model_file.hpp"
#include "model/weights.hpp"
#include "study/scenario_workload.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;
namespace fs = std::filesystem;

namespace {

/// One kind of catalogue: where it lies, its heading and one line per entry.
struct Kind {
  std::string name;      ///< as typed: "models"
  std::string singular;
  fs::path folder;
  std::string heading;
  std::function<std::string(const std::string& id, const fs::path& file)> line;
};

std::string billions(double parameters) { return fmt::format("{:.1f}B", parameters / 1e9); }

std::string model_line(const std::string& id, const fs::path& file, const DataRoot& data) {
  const ModelSpec model = read_model_entry(file, data.schema_folder());
  const ParameterCount count = count_parameters(model);
  const MoeSpec* moe = model.moe();
  const std::string experts = moe == nullptr ? "dense" : fmt::format("{} of {}", moe->top_k, moe->experts);
  if (!model.refused.empty()) return fmt::format("  {:<42} {:>9} {:>8} {:>6} {:>11}  refused: {}\n", id, billions(count.total()), billions(count.active()), model.layer_count(), experts, model.refused);
  return fmt::format("  {:<42} {:>9} {:>8} {:>6} {:>11} {:>8} {:>10}/{}\n", id, billions(count.total()), billions(count.active()),
                     model.layer_count(), experts, model.max_context, to_string(model.native.weights), to_string(model.native.experts));
}

std::string gpu_line(const std::string& id, const fs::path& file, const DataRoot& data) {
  const GpuSpec gpu = load_gpu(file, data.schema("gpu"));
  std::error_code ignored;
  const bool measured = fs::exists(data.measured() / id, ignored);
  const bool fitted = fs::exists(data.fitted() / (id + ".json"), ignored);
  const auto teraflops = [](const std::optional<FlopsPerSecond>& peak) { return peak ? fmt::format("{:.0f}", peak->value() / 1e12) : std::string("-"); };
  return fmt::format("  {:<24} {:>7.1f} {:>9.0f} {:>9} {:>9} {:>9.0f}  {:<26} {}\n", id, gpu.memory.as_double() / 1e9,
                     gpu.memory_bandwidth.value() / 1e9, teraflops(gpu.dense.bf16), teraflops(gpu.dense.fp8), gpu.scale_up_bandwidth.value() / 1e9, gpu.default_node,
                     measured ? "measured" : fitted ? "transferred" : "datasheet");
}

std::string node_line(const std::string& id, const fs::path& file, const DataRoot& data) {
  const NodeSpec node = load_node(file, data.schema("node"));
  return fmt::format("  {:<30} {:>3} x {:<24} {:<14} {:>9.0f} {:>9.1f}\n", id, node.gpus, node.gpu, to_string(node.topology),
                     node.scale_up_bandwidth.value() / 1e9, node.scale_out_bandwidth.value() / 1e9);
}

std::string engine_line(const std::string& id, const fs::path& file, const DataRoot& data) {
  const EngineProfile engine = load_engine(file, data.schema("engine"));
  return fmt::format("  {:<8} {:<42} {:>6} {:>8} {:>9} {:>6.2f} {:>9.2f} {:>9.1f} {:>7.0f}\n", id, engine.version, engine.scheduler.max_batch_requests,
                     engine.scheduler.max_batch_tokens, to_string(engine.scheduler.prefill_mode), engine.scheduler.memory_fraction,
                     engine.host_per_step.value() * 1e3, engine.host_per_sequence.value() * 1e6, engine.request_latency.value() * 1e3);
}

std::array<Kind, 5> kinds(const DataRoot& data) {
  return {Kind{"models", "model", data.models(),
               fmt::format("  {:<42} {:>9} {:>8} {:>6} {:>11} {:>8} {:>17}\n", "id", "total", "active", "layers", "experts", "context", "weights/experts"),
               [&data](const std::string& id, const fs::path& file) { return model_line(id, file, data); }},
          Kind{"gpus", "GPU", data.gpus(),
               fmt::format("  {:<24} {:>7} {:>9} {:>9} {:>9} {:>9}  {:<26} {}\n", "id", "GB", "GB/s", "bf16 TF", "fp8 TF", "link GB/s", "default node", "step times"),
               [&data](const std::string& id, const fs::path& file) { return gpu_line(id, file, data); }},
          Kind{"nodes", "node", data.nodes(),
               fmt::format("  {:<30} {:>5} {:<24} {:<14} {:>9} {:>9}\n", "id", "GPUs", "", "topology", "up GB/s", "out GB/s"),
               [&data](const std::string& id, const fs::path& file) { return node_line(id, file, data); }},
          Kind{"engines", "engine", data.engines(),
               fmt::format("  {:<8} {:<42} {:>6} {:>8} {:>9} {:>6} {:>9} {:>9} {:>7}\n", "id", "version", "batch", "tokens", "prefill", "memory", "ms/step", "us/seq", "ms/req"),
               [&data](const std::string& id, const fs::path& file) { return engine_line(id, file, data); }},
          Kind{"workloads", "workload", data.workloads(), workload_heading(),
               [&data](const std::string& id, const fs::path& file) { return workload_line(id, load_workload(file, data)); }}};
}

/// What a catalogue file says, as it is: facts with their sources.
std::string file_text(const fs::path& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::string listing(const Kind& kind) {
  std::string text = kind.heading;
  for (const std::string& id : catalogue_ids(kind.folder)) text += kind.line(id, kind.folder / (id + ".json"));
  return text;
}

}  // namespace

int run_catalog(const Arguments& arguments) {
  const std::string usage = "moeplan catalog models|gpus|nodes|engines|workloads|prices [ID]";
  po::options_description options("Options");
  options.add(common_options());
  const ParsedOptions parsed = parse_options(usage, options, "what", 2, arguments);
  if (parsed.done) return 0;
  const DataRoot data = data_root(parsed);
  const auto& words = parsed.values["what"].as<std::vector<std::string>>();
  if (words[0] == "prices") {
    print_text(price_lines(data, words.size() == 1 ? "" : words[1]));
    return 0;
  }
  std::vector<std::string> names = {"prices"};
  for (const Kind& kind : kinds(data)) {
    names.push_back(kind.name);
    if (kind.name != words[0]) continue;
    if (words.size() == 1) {
      print_text(listing(kind));
      return 0;
    }
    const fs::path file = find_catalogue_file(kind.folder, words[1], kind.singular, ".", "catalog " + kind.name);
    print_text(kind.heading + kind.line(words[1], file) + "\n" + file_text(file));
    return 0;
  }
  throw InputError("unknown catalogue '" + words[0] + "'" + did_you_mean(words[0], names) + "; accepted: models, gpus, nodes, engines, workloads, prices");
}

}  // namespace moeplan::cli
