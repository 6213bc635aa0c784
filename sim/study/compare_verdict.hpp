// What a comparison comes to, in plain words made from its numbers, and what would turn it over.
#pragma once

#include "study/comparison.hpp"

namespace moeplan {

/// Fills `verdict` and `flips`. REQUIRES: rows, crossings and load of `comparison` are filled.
void write_verdict(Comparison& comparison);

}  // namespace moeplan
