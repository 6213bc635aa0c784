// One element of a model's "layers": its attention and FFN by "kind". Used by model_file.cpp only.
#pragma once

#include <string_view>

#include "input/json_reader.hpp"
#include "model/model_spec.hpp"

namespace moeplan {

/// An integer in [least, most]. Throws InputError naming the range.
int read_size(const JsonReader& reader, std::string_view key, int least, int most);
/// The same from 0, and 0 when absent.
int read_optional_size(const JsonReader& reader, std::string_view key, int most);

LayerGroup read_layer_group(const JsonReader& reader);

}  // namespace moeplan
