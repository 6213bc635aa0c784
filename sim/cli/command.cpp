#include "cli/command.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <mutex>
#include <sstream>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "input/catalogue.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;

po::options_description common_options() {
  po::options_description options("Common options");
  options.add_options()("help,h", "print this help")("data", po::value<std::string>()->value_name("DIR"),
                                                     "folder of the catalogues (else $MOEPLAN_DATA, else beside the binary)");
  return options;
}

namespace {

std::vector<std::string> option_names(const po::options_description& options) {
  std::vector<std::string> names;
  for (const auto& option : options.options()) names.push_back("--" + option->long_name());
  return names;
}

/// Throws InputError when an output would replace what it is made from.
void keep_inputs(const ParsedOptions& parsed, const std::vector<std::string>& inputs) {
  for (const std::string name : {"json", "html", "output", "requests", "trace"}) {
    const std::string target = parsed.text(name);
    std::error_code error;
    if (target.empty() || !std::filesystem::is_regular_file(target, error)) continue;
    for (const std::string& input : inputs) {
      if (std::filesystem::equivalent(target, input, error)) throw InputError("--" + name, "names the input '" + input + "', which would be lost");
    }
  }
}

}  // namespace

ParsedOptions parse_options(const std::string& usage, const po::options_description& visible, const std::string& positional, int most,
                            const Arguments& arguments) {
  po::options_description all;
  all.add(visible);
  po::positional_options_description positions;
  if (!positional.empty()) {
    all.add_options()(positional.c_str(), po::value<std::vector<std::string>>());
    positions.add(positional.c_str(), most);
  }
  ParsedOptions parsed;
  try {
    po::store(po::command_line_parser(arguments)
                  .options(all)
                  .positional(positions)
                  .style(po::command_line_style::default_style & ~po::command_line_style::allow_guessing)
                  .run(),
              parsed.values);
    po::notify(parsed.values);
  } catch (const po::unknown_option& error) {
    throw InputError("unknown option '" + error.get_option_name() + "'" + did_you_mean(error.get_option_name(), option_names(visible)) +
                     "; see --help");
  } catch (const po::too_many_positional_options_error&) {
    throw InputError("too many arguments; usage: " + usage);
  } catch (const po::error& error) {
    throw InputError(std::string(error.what()) + "; usage: " + usage);
  }
  if (parsed.has("help")) {
    std::ostringstream text;
    text << "usage: " << usage << "\n\n" << visible;
    print_text(text.str());
    parsed.done = true;
    return parsed;
  }
  if (!positional.empty() && !parsed.has(positional)) throw InputError("missing argument; usage: " + usage);
  if (!positional.empty()) keep_inputs(parsed, parsed.values[positional].as<std::vector<std::string>>());
  return parsed;
}

DataRoot data_root(const ParsedOptions& options) { return find_data_root(options.text("data"), MOEPLAN_BUILT_FROM); }

void print_text(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) throw InputError("standard output", "could not be written");
}

JsonOutput::JsonOutput(const std::string& file) : to_stdout_(file == "-") {
  if (!to_stdout_ && !file.empty()) file_ = std::make_unique<AtomicFile>(file);
}

JsonOutput::~JsonOutput() = default;

void JsonOutput::write(const std::string& text) {
  if (to_stdout_) print_text(text);
  if (file_ == nullptr) return;
  file_->write(text);
  file_->commit();
}

std::int64_t whole_number(const ParsedOptions& options, const std::string& name, std::int64_t low, std::int64_t high) {
  const auto value = options.values[name].as<std::int64_t>();
  if (value < low || value > high) throw InputError("--" + name, fmt::format("found {}, accepted: {} to {}", value, low, high));
  return value;
}

struct Progress::Clock {
  std::mutex mutex;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point drawn{};
};

Progress::Progress(std::string label)
    : label_(std::move(label)), terminal_(isatty(STDERR_FILENO) == 1), clock_(std::make_unique<Clock>()) {}

Progress::~Progress() {
  if (terminal_) fmt::print(stderr, "\r\033[K");
}

void Progress::update(double share) {
  if (!terminal_) return;
  const std::lock_guard lock(clock_->mutex);
  const auto now = std::chrono::steady_clock::now();
  if (now - clock_->drawn < std::chrono::milliseconds(100)) return;
  clock_->drawn = now;
  const double spent = std::chrono::duration<double>(now - clock_->start).count();
  const double left = share > 0.01 ? spent * (1.0 - share) / share : 0.0;
  fmt::print(stderr, "\r\033[K{} {:3.0f} %{}", label_, share * 100.0, left >= 1.0 ? fmt::format("  {:.0f} s left", left) : "");
  std::fflush(stderr);
}

}  // namespace moeplan::cli
