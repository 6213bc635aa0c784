// Per-token choices of a router, as some engines can log them: a CSV with the columns token, layer, experts, and optionally sequence. Read
// into what the samplers know: the tokens themselves, counts by layer and expert, and the locality that the choices show.
#pragma once

#include <filesystem>
#include <vector>

#include "routing/routing_config.hpp"

namespace moeplan {

struct RoutingTrace {
  RecordedCounts counts;
  RoutingLocality locality;
};

/// Whether the file's header has the column `experts`. Throws InputError when it cannot be read.
bool is_routing_trace(const std::filesystem::path& file);

/// Reads a trace of a model with `experts` experts (0: as many as the largest id says). `experts` of a row are ids separated by spaces or
/// semicolons, equally many in every row. Tokens of one sequence and layer come in order; token numbers say how far apart they are, and
/// only tokens of one sequence are neighbours. Throws InputError with file and line.
RoutingTrace load_routing_trace(const std::filesystem::path& file, int experts);

}  // namespace moeplan
