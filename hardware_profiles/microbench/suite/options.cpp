#include "suite/options.hpp"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <utility>

#include "base/error.hpp"
#include "input/catalogue.hpp"

namespace moeplan::bench {
namespace {

constexpr double kQuickSeconds = 120, kFullSeconds = 1200;

class Words {
 public:
  explicit Words(const std::vector<std::string>& words) : words_(words) {}
  bool next() { return at_ < words_.size() && (word_ = words_[at_++], split(), true); }
  [[nodiscard]] const std::string& name() const { return word_; }
  /// The value behind "=" or the next word.
  std::string value() {
    if (has_value_) return std::exchange(value_, "");
    if (at_ == words_.size()) throw InputError(word_ + " needs a value");
    return words_[at_++];
  }
  void no_value() const {
    if (has_value_) throw InputError(word_ + " takes no value");
  }
  std::uint64_t number(std::uint64_t low, std::uint64_t high) {
    const std::string name = word_, text = value();
    std::uint64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc() || end != text.data() + text.size() || n < low || n > high) {
      throw InputError(name, fmt::format("found '{}', accepted: a whole number from {} to {}", text, low, high));
    }
    return n;
  }

 private:
  void split() {
    const std::size_t equals = word_.find('=');
    has_value_ = word_.starts_with("--") && equals != std::string::npos;
    if (!has_value_) return;
    value_ = word_.substr(equals + 1);
    word_.resize(equals);
  }
  const std::vector<std::string>& words_;
  std::size_t at_ = 0;
  std::string word_, value_;
  bool has_value_ = false;
};

BackendKind backend_of(const std::string& name) {
  if (name == "host") return BackendKind::kHost;
  if (name == "cuda") return BackendKind::kCuda;
  throw InputError("--backend", "found '" + name + "', accepted: host, cuda");
}

std::string amount(double x, const char* unit) {
  const char* const prefixes[] = {"", "k", "M", "G", "T", "P"};
  int i = 0;
  for (; x >= 1000 && i < 5; ++i) x /= 1000;
  return fmt::format("{:.3g} {}{}", x, prefixes[i], unit);
}

}  // namespace

Options parse_options(const std::vector<std::string>& arguments) {
  static const std::vector<std::string> known = {"--backend", "--ops", "--quick", "--full", "--out", "--list", "--dry-run", "--check", "--seed", "--threads", "--seconds", "--help", "--version"};
  Options o;
  o.backend = BackendKind::kHost;
  bool quick = false, full = false, backend = false;
  double seconds = 0;
  for (const OpInfo& op : operations()) o.ops.push_back(op.op);
  Words words(arguments);
  while (words.next()) {
    const std::string name = words.name();
    if (name == "--backend") o.backend = backend_of(words.value()), backend = true;
    else if (name == "--ops") o.ops = parse_operations(words.value());
    else if (name == "--out") o.out = words.value();
    else if (name == "--seed") o.seed = words.number(0, UINT64_MAX);
    else if (name == "--threads") o.threads = static_cast<int>(words.number(1, 4096));
    else if (name == "--seconds") seconds = static_cast<double>(words.number(1, 86400));
    else if (name == "--quick") words.no_value(), quick = true;
    else if (name == "--full") words.no_value(), full = true;
    else if (name == "--list") words.no_value(), o.list = true;
    else if (name == "--dry-run") words.no_value(), o.dry_run = true;
    else if (name == "--check") words.no_value(), o.check = true;
    else if (name == "--help" || name == "-h") words.no_value(), o.help = true;
    else if (name == "--version") words.no_value(), o.version = true;
    else throw InputError("unknown option '" + name + "'" + did_you_mean(name, known) + "; see moeplan-microbench --help");
  }
  if (quick && full) throw InputError("--quick and --full exclude each other");
  o.extent = full ? Extent::kFull : Extent::kQuick;
  o.seconds = seconds > 0 ? seconds : full ? kFullSeconds : kQuickSeconds;
  if (o.help || o.version || o.list) return o;
  if (!backend) throw InputError("--backend is missing, accepted: host, cuda; see moeplan-microbench --help");
  if (o.threads > 0 && o.backend == BackendKind::kCuda) throw InputError("--threads is of the host backend");
  if (o.out.empty() && !o.dry_run && !o.check) throw InputError("--out is missing: the folder that the tables go to");
  return o;
}

std::string help_text() {
  return
      "moeplan-microbench: measures a machine for `moeplan calibrate`\n\n"
      "usage: moeplan-microbench --backend cuda|host --out DIR [--quick|--full] [options]\n\n"
      "  --backend NAME   cuda: the GPUs of this machine; host: its processor\n"
      "  --out DIR        tables (CSV), provenance.json, gpu.json, node.json; a folder that has rows is completed\n"
      "  --quick          coarse grid, about 2 minutes (default)\n"
      "  --full           fine grid, about 20 minutes\n"
      "  --seconds N      another length of the same grid: more or fewer repetitions per row\n"
      "  --ops A,B        only these operations\n"
      "  --list           the operations\n"
      "  --dry-run        every shape with its bytes and operations; measures nothing\n"
      "  --check          every kernel on small cases against float64; measures nothing\n"
      "  --seed N         of the random operands and routings (1)\n"
      "  --threads N      host backend: threads (one per processor)\n"
      "  --help, --version\n\n"
      "Ctrl-C stops after the current row and keeps what is done; the same command goes on from there.\n";
}

std::string list_text() {
  std::string text;
  for (const OpInfo& op : operations()) text += fmt::format("{:<18} {}\n", op.name, op.text);
  return text;
}

std::string dry_run_text(const std::vector<Case>& cases) {
  std::string text;
  std::map<Op, std::pair<int, Workload>> totals;
  for (const Case& c : cases) {
    const Workload work = work_of(c);
    std::string shape;
    for (std::size_t i = 0; i < c.values.size(); ++i) shape += fmt::format("{}{}={}", i == 0 ? "" : " ", info(c.op).columns[i], c.values[i]);
    text += fmt::format("{:<18} {:<110} {:>9} {:>11}\n", info(c.op).name, shape, amount(work.bytes, "B"), amount(work.flops, "FLOP"));
    auto& [count, sum] = totals[c.op];
    ++count;
    sum.bytes += work.bytes;
    sum.flops += work.flops;
  }
  for (const auto& [op, total] : totals) {
    text += fmt::format("total {:<12} {} cases, {} and {} a pass\n", info(op).name, total.first, amount(total.second.bytes, "B"), amount(total.second.flops, "FLOP"));
  }
  return text;
}

}  // namespace moeplan::bench
