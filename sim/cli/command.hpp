// One file per command; this is what they share: option parsing with a usage line, outputs, progress on a terminal.
#pragma once

#include <boost/program_options.hpp>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "study/data_root.hpp"

namespace moeplan {
class AtomicFile;
}

namespace moeplan::cli {

using Arguments = std::vector<std::string>;

inline constexpr std::int64_t kMaxSeed = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t kMaxJobs = 4096;

int run_simulate(const Arguments& arguments);
int run_memory(const Arguments& arguments);
int run_compare(const Arguments& arguments);
int run_plan(const Arguments& arguments);
int run_validate(const Arguments& arguments);
int run_calibrate(const Arguments& arguments);
int run_catalog(const Arguments& arguments);
int run_report(const Arguments& arguments);

/// Options of one command, parsed. `done` is set when --help was asked for and printed.
struct ParsedOptions {
  boost::program_options::variables_map values;
  bool done = false;

  [[nodiscard]] bool has(const std::string& name) const { return values.count(name) > 0; }
  [[nodiscard]] std::string text(const std::string& name) const { return has(name) ? values[name].as<std::string>() : std::string(); }
};

/// The options that every command takes (--help, --data).
boost::program_options::options_description common_options();

/// Parses `arguments` of `command`. Positional arguments fill the option named by `positional` (at most `most` of them). Throws InputError
/// with one line for an unknown option (nearest named), a missing or superfluous argument or a bad value.
ParsedOptions parse_options(const std::string& usage, const boost::program_options::options_description& visible,
                            const std::string& positional, int most, const Arguments& arguments);

/// The catalogues, honouring --data.
DataRoot data_root(const ParsedOptions& options);

/// Prints to stdout; throws InputError when that cannot be written (a full disk).
void print_text(const std::string& text);

/// Where a result goes as JSON: nowhere (no file named), stdout ("-") or a file, which is opened at once, so that a target that cannot be
/// written is refused before the work, and put in place by write().
class JsonOutput {
 public:
  explicit JsonOutput(const std::string& file);
  ~JsonOutput();
  JsonOutput(const JsonOutput&) = delete;
  JsonOutput& operator=(const JsonOutput&) = delete;
  [[nodiscard]] bool wanted() const { return to_stdout_ || file_ != nullptr; }
  /// Stdout is taken: no summary.
  [[nodiscard]] bool to_stdout() const { return to_stdout_; }
  void write(const std::string& text);

 private:
  bool to_stdout_;
  std::unique_ptr<AtomicFile> file_;
};

/// The value of a whole-number option; throws InputError when it lies outside [low, high].
std::int64_t whole_number(const ParsedOptions& options, const std::string& name, std::int64_t low, std::int64_t high);

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
