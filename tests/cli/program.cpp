#include "program.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>

namespace moeplan::test {

namespace {
std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}
}  // namespace

Outcome Program::run(const std::vector<std::string>& arguments) const { return run_into((output_.path() / "out").string(), arguments); }

Outcome Program::run_into(const std::string& target, const std::vector<std::string>& arguments) const {
  const auto err = output_.path() / "err";
  std::string command = "cd " + quoted(folder_.path().string()) + " && env -u MOEPLAN_DATA " + quoted(MOEPLAN_PROGRAM);
  for (const std::string& argument : arguments) command += " " + quoted(argument);
  command += " >" + quoted(target) + " 2>" + quoted(err.string()) + " </dev/null";
  const int status = std::system(command.c_str());
  Outcome outcome;
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (std::filesystem::is_regular_file(target)) outcome.out = slurp(target);
  outcome.err = slurp(err);
  return outcome;
}

std::vector<std::string> Program::files() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace moeplan::test
