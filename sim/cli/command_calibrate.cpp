#include <fmt/core.h>

#include "base/error.hpp"
#include "calibration/calibrate.hpp"
#include "calibration/cost_profile.hpp"
#include "calibration/measured_rows.hpp"
#include "cli/command.hpp"
#include "hardware/hardware_catalogue.hpp"
#include "input/catalogue.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;
namespace fs = std::filesystem;

namespace {

std::string errors_text(const ErrorSummary& e) {
  return e.rows == 0 ? "-" : fmt::format("{:.1f} / {:.1f} ({:+.1f})", e.median * 100, e.p90 * 100, e.bias * 100);
}

/// One line per kernel: errors of the roofline form alone and with its residual table, on whole shapes left out of the fit; below it the
/// rows that are furthest off.
std::string error_table(const CostProfile& profile) {
  const std::string format = "  {:<18} {:<48} {:<10} {:>6}  {:>22}  {:>22}  {}\n";
  std::string text = "median / P90 (bias) of the error in %, on left-out shapes\n" +
                     fmt::format(fmt::runtime(format), "operation", "kernel", "format", "rows", "form", "with residuals", "left out, or from");
  for (const ErrorLine& line : error_lines(profile)) {
    text += fmt::format(fmt::runtime(format), line.operation, line.kernel, line.format, line.rows, errors_text(line.form), errors_text(line.table),
                        line.from.empty() ? line.left_out : "transferred from " + line.from);
    for (const WorstRow& row : line.worst) {
      text += fmt::format("      worst: {}: measured {:.4g} us, predicted {:.4g} us\n", row.shape, row.measured_us, row.predicted_us);
    }
  }
  return text;
}

/// One line per measured kernel: errors on its rows of what relatives alone would predict.
std::string left_out_table(const GpuSpec& gpu, const std::vector<ErrorLine>& lines) {
  const std::string format = "  {:<18} {:<48} {:<10} {:>6}  {:>22}  {}\n";
  std::string text = fmt::format("\n{} left out: error in % on its own rows if nobody had measured it, median / P90 (bias)\n", gpu.id) +
                     fmt::format(fmt::runtime(format), "operation", "kernel", "format", "rows", "error", "constants of");
  for (const ErrorLine& line : lines) {
    text += fmt::format(fmt::runtime(format), line.operation, line.kernel, line.format, line.table.rows, errors_text(line.table), line.from);
    for (const WorstRow& row : line.worst) {
      text += fmt::format("      worst: {}: measured {:.4g} us, predicted {:.4g} us\n", row.shape, row.measured_us, row.predicted_us);
    }
  }
  return text;
}

/// Whether all constants must come from relatives. A GPU that has tables in the catalogue is measured: another path is a mistake.
bool only_relatives(const fs::path& measured, const GpuSpec& gpu, const DataRoot& data) {
  std::error_code error;
  if (fs::is_directory(measured, error)) return false;
  if (fs::exists(measured, error)) throw InputError(measured.string(), "is no folder of measured tables");
  if (fs::is_directory(data.measured() / gpu.id)) {
    throw InputError(measured.string(), "is no folder of measured tables; those of '" + gpu.id + "' lie in " + data.display(data.measured() / gpu.id));
  }
  if (relatives_of(gpu.id).empty()) {
    throw InputError(measured.string(), "is no folder of measured tables, and no measured relative of '" + gpu.id + "' is known: its times rest on the datasheet");
  }
  return true;
}

std::string transfer_note(const GpuSpec& gpu, const fs::path& measured) {
  std::string names;
  for (const std::string& id : relatives_of(gpu.id)) names += (names.empty() ? "" : ", ") + id;
  return fmt::format("{} has no measured tables ({} does not exist): all constants are transferred from its nearest measured relatives ({}), as fractions of the\n"
                     "datasheet; errors are what leaving one device out shows on the relative\n\n",
                     gpu.id, measured.string(), names);
}

std::string disturbed_note(const fs::path& measured) {
  const int rows = count_disturbed(measured);
  return rows == 0 ? "" : fmt::format("{} {} left out: measured while others had the processor (mark \"disturbed\")\n\n", rows, rows == 1 ? "row is" : "rows are");
}

}  // namespace

int run_calibrate(const Arguments& arguments) {
  const std::string usage = "moeplan calibrate MEASURED_DIR --gpu ID [-o FITTED.json] [--leave-out]";
  po::options_description options("A GPU without measured tables (MEASURED_DIR does not exist) gets the constants of its nearest measured relatives.\n\nOptions");
  options.add_options()("gpu", po::value<std::string>()->value_name("ID"), "the GPU that was measured: catalogue id or path of its JSON")(
      "output,o", po::value<std::string>()->value_name("FITTED.json"), "write the cost profile (- for stdout, instead of the table)")(
      "leave-out", "also predict the measured rows from constants of relatives alone, as if nobody had measured this GPU");
  options.add(common_options());
  const ParsedOptions parsed = parse_options(usage, options, "measured", 1, arguments);
  if (parsed.done) return 0;
  if (!parsed.has("gpu")) throw InputError("--gpu is missing; usage: " + usage);

  const DataRoot data = data_root(parsed);
  const fs::path gpu_file = find_catalogue_file(data.gpus(), parsed.text("gpu"), "GPU", ".", "--gpu");
  const GpuSpec gpu = load_gpu(gpu_file, data.schema("gpu"));
  const fs::path measured = parsed.values["measured"].as<std::vector<std::string>>().at(0);
  const bool transferred = only_relatives(measured, gpu, data);
  if (transferred && parsed.has("leave-out")) throw InputError("--leave-out", "'" + gpu.id + "' has no measured tables to compare with");
  JsonOutput output(parsed.text("output"));
  const CostProfile profile = make_profile(gpu, measured, data.folder() / "hardware_profiles");
  if (output.wanted()) output.write(to_json(profile));
  if (output.to_stdout()) return 0;
  std::string text = (transferred ? transfer_note(gpu, measured) : disturbed_note(measured)) + error_table(profile);
  if (parsed.has("leave-out")) text += left_out_table(gpu, left_out_errors(profile, gpu, measured, data.folder() / "hardware_profiles"));
  print_text(text);
  return 0;
}

}  // namespace moeplan::cli
