// Every kernel that will be timed first computes a small case, which must agree with the float64 reference.
#pragma once

#include "suite/backend.hpp"

namespace moeplan::bench {

struct Verification {
  Case shape;
  double error = 0;      ///< root mean square of the deviation over that of the reference
  double tolerance = 0;  ///< by number format
  [[nodiscard]] bool passed() const { return error <= tolerance; }
};

/// Small cases of `op` in one format: odd sizes, partly filled tiles and blocks, grouped heads, unused experts.
std::vector<Case> verification_cases(Op op, const std::string& format);

/// Operands of a small case, rounded to what its format holds.
Problem make_problem(const Case& c, std::uint64_t seed);
/// The reference's answer to it.
std::vector<double> reference_result(const Problem& problem);

/// Checks every operation and format that occurs in `cases`. Unsupported ones are left out.
std::vector<Verification> verify(Backend& backend, const std::vector<Case>& cases, std::uint64_t seed);

/// Takes operations in a format that some check fails out of `cases`: what computes wrongly is never timed. Returns a line for each failed check.
std::vector<std::string> leave_out_wrong(const std::vector<Verification>& results, std::vector<Case>& cases);
/// Every check with its error and what is allowed.
std::string verification_text(const std::vector<Verification>& results);

/// The number format that decides which kernel runs: of the weights, or of the KV cache.
const std::string& format_of(const Case& c);

}  // namespace moeplan::bench
