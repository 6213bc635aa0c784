// moeplan's command line: picks the command, and is the only place that prints errors and decides exit codes (0, 2 input, 3 internal).

#include <fmt/core.h>

#include <array>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "input/catalogue.hpp"

namespace {

using moeplan::cli::Arguments;

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const Arguments&);
};

constexpr std::array kCommands = {
    Command{"simulate", "simulate a scenario: VRAM, latency percentiles, throughput", moeplan::cli::run_simulate},
    Command{"memory", "VRAM per GPU and KV capacity of a scenario, without simulation", moeplan::cli::run_memory},
    Command{"plan", "the cheapest deployments that meet the objectives", moeplan::cli::run_plan},
    Command{"compare", "scenarios or stored results side by side: table, sensitivities, crossings, verdict", moeplan::cli::run_compare},
    Command{"validate", "predicted against measured serving runs", moeplan::cli::run_validate},
    Command{"report", "the page of a stored result", moeplan::cli::run_report},
    Command{"calibrate", "fit a cost profile to measured kernels", moeplan::cli::run_calibrate},
    Command{"catalog", "known models, GPUs, nodes, engines, workloads and prices, with sources", moeplan::cli::run_catalog},
};

void print_help(std::FILE* stream) {
  fmt::print(stream, "moeplan: capacity planning for Mixture-of-Experts serving\n\nusage: moeplan COMMAND [options]\n\ncommands:\n");
  for (const Command& command : kCommands) fmt::print(stream, "  {:<10} {}\n", command.name, command.summary);
  fmt::print(stream, "\n`moeplan COMMAND --help` explains a command; `moeplan --version` prints the version.\n");
}

int dispatch(const Arguments& words) {
  if (words.empty()) {
    print_help(stderr);
    return 2;
  }
  if (words[0] == "help" && words.size() == 2) return dispatch({words[1], "--help"});
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_help(stdout);
    return 0;
  }
  if (words[0] == "--version") {
    fmt::print("moeplan {}\n", MOEPLAN_VERSION);
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (words[0] == command.name) return command.run(Arguments(words.begin() + 1, words.end()));
    names.emplace_back(command.name);
  }
  throw moeplan::InputError("unknown command '" + words[0] + "'" + moeplan::did_you_mean(words[0], names) + "; see moeplan --help");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const int code = dispatch(Arguments(argv + 1, argv + argc));
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) throw moeplan::InputError("standard output", "could not be written");
    return code;
  } catch (const moeplan::InputError& error) {
    fmt::print(stderr, "moeplan: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "moeplan: internal error: {}\n", error.what());
    return 3;
  }
}
