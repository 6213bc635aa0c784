// What each changed input does alone, between two inputs: so that a regression after a swap is traceable.
#pragma once

#include <vector>

#include "study/comparison.hpp"

namespace moeplan {

struct StudyLibraries;

/// Effects between two inputs: the first's scenario is run with one input at a time taken from the second, relative to itself. Where stored
/// results are not what today's files and program give, that is an effect of its own: of each file alone where `old_data` holds the
/// catalogues that the first was made with, else of all together. Metrics: ttft_p99, tpot_p99, output_tokens_per_s,
/// usd_per_million_output_tokens. The effects of "all of it" come last.
/// REQUIRES: two inputs.
std::vector<Effect> find_effects(const std::vector<CompareInput>& inputs, const DataRoot& data, const DataRoot* old_data,
                                 StudyLibraries& shared);

}  // namespace moeplan
