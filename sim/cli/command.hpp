// One file per command; this is what they share: option parsing with a usage line, outputs, progress on a terminal.
#pragma once

#include <boost/program_options.hpp>
#include <memory>
#include <string>
#include <vector>

#include "study/data_root.hpp"

namespace moeplan::cli {

using Arguments = std::vector<std::string>;

int run_simulate(const Arguments& arguments);
int run_memory(const Arguments& arguments);
int run_validate(const Arguments& arguments);
int run_calibrate(const Arguments& arguments);
int run_catalog(const Arguments& arguments);

/// Options of one command, parsed. `done` is set when --help was asked for and printed.
struct ParsedOptions {
  boost::program_options::variables_map values;
  bool done = false;

  [[nodiscard]] bool has(const std::string& name) const { return values.count(name) > 0; }
  [[nodiscard]] std::string text(const std::string& name) const { return has(name) ? values[name].as<std::string>() : std::string(); }
};

/// The options that every command takes (--help, --data).
boost::program_options::options_description common_options();

/// Parses `arguments` of `command`. Positional arguments fill the option named by `positional` (at most `most` of them). Throws InputError with
/// one line for an unknown option (nearest named), a missing or superfluous argument or a bad value.
ParsedOptions parse_options(const std::string& usage, const boost::program_options::options_description& visible, const std::string& positional,
                            int most, const Arguments& arguments);

/// The catalogues, honouring --data.
DataRoot data_root(const ParsedOptions& options);

/// Writes `text` to `file`, beside it first and then renamed; "-" is stdout.
void write_output(const std::string& file, const std::string& text);

/// Reports "label 42 %  3 s left" on stderr when that is a terminal, and clears it at the end.
class Progress {
 public:
  explicit Progress(std::string label);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// `share` of the work done, 0 to 1. Cheap enough to call often; redraws ten times a second at most. Thread-safe.
  void update(double share);

 private:
  std::string label_;
  bool terminal_;
  struct Clock;
  std::unique_ptr<Clock> clock_;
};

}  // namespace moeplan::cli
