// Keys of a scenario that are right by themselves and without effect beside the others: the result says so, with the key's place. Contradictions
// within one object are refused where it is read; what depends on model, layout or another feature is only warned about, because comparisons and
// searches change one thing at a time.
#pragma once

#include <string>
#include <vector>

namespace moeplan {

class JsonReader;
struct Scenario;

/// One line per key of `root` that changes nothing in `scenario`, which was resolved from it. A workload that is named is shared with other scenarios:
/// nothing is said about its keys.
std::vector<std::string> unused_keys(const JsonReader& root, const Scenario& scenario);

}  // namespace moeplan
