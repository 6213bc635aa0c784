// Two kinds of failure and no third: the user's input is wrong (InputError, exit 2) or moeplan is (MOEPLAN_CHECK, exit 3).
// A model that does not fit or a queue that overflows is neither: it is a result. Libraries throw; only main prints and exits.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace moeplan {

/// Wrong input. The message is one line: file, place (JSON pointer or line), what was found, what is accepted.
class InputError : public std::runtime_error {
 public:
  explicit InputError(const std::string& message) : std::runtime_error(message) {}
  /// "`where`: `what`", where `where` names file and place.
  InputError(std::string_view where, std::string_view what)
      : std::runtime_error(std::string(where) + ": " + std::string(what)) {}
};

/// A broken invariant of moeplan itself.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void fail_check(const char* condition, const char* file, int line);

}  // namespace moeplan

/// Checks an invariant in every build; throws InternalError (exit 3) when it does not hold.
#define MOEPLAN_CHECK(condition) ((condition) ? static_cast<void>(0) : ::moeplan::fail_check(#condition, __FILE__, __LINE__))
