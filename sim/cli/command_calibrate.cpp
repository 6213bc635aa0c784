#include <fmt/core.h>

#include "base/error.hpp"
#include "cli/command.hpp"

namespace moeplan::cli {

int run_calibrate(const Arguments&) { throw InputError("calibrate is being built"); }

}  // namespace moeplan::cli
