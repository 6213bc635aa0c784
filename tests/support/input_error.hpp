// What a piece of code complains about, for tests that check the words a user sees.
#pragma once

#include <string>

#include "base/error.hpp"

namespace moeplan::test {

/// The message of the InputError that `action` throws; "" when it throws nothing. Any other exception passes through.
template <class Action>
std::string complaint_of(Action&& action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace moeplan::test
