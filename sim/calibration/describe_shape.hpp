// Shapes in words, for lists of worst rows.
#pragma once

#include <string>

#include "calibration/kernel_shapes.hpp"

namespace moeplan {

std::string describe(const GemmShape& s);
std::string describe(const MoeShape& s);
std::string describe(const DecodeAttentionShape& s);
std::string describe(const PrefillAttentionShape& s);
std::string describe(const MlaDecodeShape& s);
std::string describe(const MlaPrefillShape& s);
std::string describe(const CollectiveShape& s);
std::string describe(const ExpertExchangeShape& s);

}  // namespace moeplan
