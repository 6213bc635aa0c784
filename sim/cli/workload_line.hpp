// One line of `moeplan catalog workloads`: how requests arrive and how long they are.
#pragma once

#include <string>

#include "workload/workload_config.hpp"

namespace moeplan::cli {

std::string workload_heading();

/// Reads through the traces that lengths are taken from, for their means. Throws InputError.
std::string workload_line(const std::string& id, const WorkloadConfig& workload);

}  // namespace moeplan::cli
