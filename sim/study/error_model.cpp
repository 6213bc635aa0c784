#include "study/error_model.hpp"

#include "base/error.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"

namespace moeplan {

ErrorModel load_error_model(const std::filesystem::path& file) {
  const JsonDocument document = load_json(file);
  const JsonReader root(document);
  const auto width = [](const JsonReader& reader, const char* key) {
    const double value = reader.number(key);
    if (!(value >= 0 && value < 3)) reader.at(key).fail("accepted: a width from 0 to 3");
    return value;
  };
  ErrorModel model;
  const JsonReader step = root.at("step");
  model.step_dense = width(step, "dense");
  model.step_moe = width(step, "moe");
  const JsonReader first = root.at("first_token");
  model.first_token_dense = width(first, "dense");
  model.first_token_moe = width(first, "moe");
  model.weak_kernels = width(root, "weak_kernels");
  model.host_per_step_s = root.duration("host_per_step").value();
  model.request_latency = width(root, "request_latency");
  model.source = root.string("source");
  return model;
}

}  // namespace moeplan
