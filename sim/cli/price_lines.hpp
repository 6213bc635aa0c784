// The list of prices as `moeplan catalog prices` prints it.
#pragma once

#include <string>

#include "study/data_root.hpp"

namespace moeplan::cli {

/// A heading and one line per price, of `gpu` alone unless it is empty. Throws InputError for an item without a price, naming the nearest.
std::string price_lines(const DataRoot& data, const std::string& gpu);

}  // namespace moeplan::cli
