#include "model/model_file.hpp"

#include <string>

#include "base/error.hpp"
#include "model/layer_reader.hpp"

namespace moeplan {
namespace {

constexpr double kMostParameters = 1e15;
constexpr int kMostLayers = 100'000;

PublishedCounts read_published(const JsonReader& reader) {
  PublishedCounts out;
  out.total_b = reader.number("total_b", 0);
  out.active_b = reader.number("active_b", 0);
  const std::string convention = reader.string("active_convention", "incl_embeddings");
  if (convention == "excl_input_embedding") out.active_convention = ActiveConvention::kExclInputEmbedding;
  if (convention == "excl_embeddings") out.active_convention = ActiveConvention::kExclEmbeddings;
  out.source = reader.string("source", "");
  out.total_exception = reader.string("total_exception", "");
  out.active_exception = reader.string("active_exception", "");
  return out;
}

NativePrecision read_native(const JsonReader& reader) {
  NativePrecision out;
  out.weights = reader.precision("weights", Precision::kBf16);
  out.experts = reader.precision("experts", out.weights);
  out.fp8_checkpoint = reader.precision("fp8_checkpoint", out.weights == Precision::kFp8Block ? Precision::kFp8Block : Precision::kFp8);
  out.experts_bytes_per_weight = reader.number("experts_bytes_per_weight", 0);
  return out;
}

void read_architecture(const JsonReader& reader, ModelSpec& model) {
  model.hidden = read_size(reader, "hidden", 1, 1'000'000);
  model.vocab = read_size(reader, "vocab", 1, 100'000'000);
  model.max_context = read_size(reader, "max_context", 1, 1'000'000'000);
  model.tied_embeddings = reader.boolean("tied_embeddings", false);
  model.gated_ffn = reader.boolean("gated_ffn", true);
  model.residual_streams = reader.has("residual_streams") ? read_size(reader, "residual_streams", 1, 64) : 1;
  model.norms_per_layer = reader.has("norms_per_layer") ? read_size(reader, "norms_per_layer", 0, 16) : 2;
  model.norm_bias = reader.boolean("norm_bias", false);
  model.encoder_layers = read_optional_size(reader, "encoder_layers", kMostLayers);
  model.mtp_layers = read_optional_size(reader, "mtp_layers", 100);
  if (reader.has("native")) model.native = read_native(reader.at("native"));
  std::int64_t layers = 0;
  for (const auto& element : reader.at("layers").elements()) {
    model.layers.push_back(read_layer_group(element));
    layers += model.layers.back().count;
    if (layers > kMostLayers) element.fail("the layers add up to more than 100000");
  }
  if (model.layers.empty()) reader.at("layers").fail("found no layers, accepted: at least one group");
  if (model.encoder_layers > layers) reader.at("encoder_layers").fail("more encoder layers than layers");
  const double total = count_parameters(model).total();
  if (total > kMostParameters)
    reader.fail("these sizes make " + std::to_string(static_cast<long long>(total / 1e12)) + "T parameters, accepted: at most 1000T");
}

// An encoder's step cost and KV would be silently wrong, so an entry with one must not pass even when it forgets to say so.
void refuse_encoder(const JsonReader& reader, const ModelSpec& model) {
  bool cross = model.encoder_layers > 0;
  for (const auto& group : model.layers) cross = cross || group.attention.cross_attention;
  if (cross) reader.fail("model '" + model.id + "' has an encoder or cross-attention, accepted: decoder-only models");
}

ModelSpec read_entry(const JsonReader& reader, std::string_view fallback_id) {
  ModelSpec model;
  model.id = reader.string("id", std::string(fallback_id));
  model.name = reader.string("name", model.id);
  model.family = reader.string("family", "");
  model.refused = reader.string("refused", "");
  model.confidence = reader.string("confidence", "user");
  model.sources = reader.strings("sources");
  model.notes = reader.string("notes", "");
  if (reader.has("published")) model.published = read_published(reader.at("published"));
  if (model.refused.empty() || reader.has("layers")) read_architecture(reader, model);
  if (model.refused.empty()) refuse_encoder(reader, model);
  return model;
}

}  // namespace

ModelSpec parse_model(const JsonReader& model, std::string_view fallback_id) {
  ModelSpec out = read_entry(model, fallback_id);
  if (!out.refused.empty()) model.fail("model '" + out.id + "' cannot be simulated: " + out.refused);
  return out;
}

ModelSpec load_model(const std::filesystem::path& file, const std::filesystem::path& schema_folder) {
  const JsonDocument document = load_json(file, schema_folder / "model.schema.json");
  return parse_model(JsonReader(document), file.stem().string());
}

ModelSpec read_model_entry(const std::filesystem::path& file, const std::filesystem::path& schema_folder) {
  const JsonDocument document = load_json(file, schema_folder / "model.schema.json");
  return read_entry(JsonReader(document), file.stem().string());
}

}  // namespace moeplan
