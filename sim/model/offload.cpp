#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "model/deployment.hpp"

namespace moeplan {

std::string_view to_string(ExpertCachePolicy policy) {
  switch (policy) {
    case ExpertCachePolicy::kLru: return "lru";
    case ExpertCachePolicy::kLfu: return "lfu";
    case ExpertCachePolicy::kPinnedHot: return "pinned_hot";
  }
  MOEPLAN_CHECK(false);
  return {};
}

int OffloadConfig::resident(int local) const {
  // A share that a rounding error keeps from a whole number of experts counts as that number.
  return std::clamp(static_cast<int>(std::floor(resident_share * local + 1e-9)), 0, local);
}

}  // namespace moeplan
