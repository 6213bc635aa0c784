// What must be settled before a deployment is bought, item by item: what this result confirms, what it leaves open, what fails.
#pragma once

#include <string>
#include <vector>

#include "study/result.hpp"

namespace moeplan {

enum class CheckStatus : std::uint8_t { kConfirmed, kOpen, kFailed };
std::string_view to_string(CheckStatus status);

struct CheckItem {
  std::string check;  ///< what is to be settled, in a few words
  CheckStatus status = CheckStatus::kOpen;
  std::string detail;  ///< what it rests on, or what is left to do
};

/// Kind of model, engine support, quality of quantised weights, benchmark at the real batch and context, memory for all parameters.
std::vector<CheckItem> production_checklist(const Scenario& scenario, const Result& result);

}  // namespace moeplan
