#include <fmt/core.h>

#include "base/error.hpp"
#include "calibration/calibrate.hpp"
#include "calibration/cost_profile.hpp"
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

}  // namespace

int run_calibrate(const Arguments& arguments) {
  const std::string usage = "moeplan calibrate MEASURED_DIR --gpu ID [-o FITTED.json]";
  po::options_description options("Options");
  options.add_options()("gpu", po::value<std::string>()->value_name("ID"), "the GPU that was measured: catalogue id or path of its JSON")(
      "output,o", po::value<std::string>()->value_name("FITTED.json"), "write the cost profile (- for stdout, instead of the table)");
  options.add(common_options());
  const ParsedOptions parsed = parse_options(usage, options, "measured", 1, arguments);
  if (parsed.done) return 0;
  if (!parsed.has("gpu")) throw InputError("--gpu is missing; usage: " + usage);

  const DataRoot data = data_root(parsed);
  const fs::path gpu_file = find_catalogue_file(data.gpus(), parsed.text("gpu"), "GPU", ".", "--gpu");
  const GpuSpec gpu = load_gpu(gpu_file, data.schema("gpu"));
  const fs::path measured = parsed.values["measured"].as<std::vector<std::string>>().at(0);
  if (!fs::is_directory(measured)) throw InputError(measured.string(), "is no folder of measured tables");
  JsonOutput output(parsed.text("output"));
  const CostProfile profile = make_profile(gpu, measured, data.folder() / "hardware_profiles");
  if (output.wanted()) output.write(to_json(profile));
  if (!output.to_stdout()) print_text(error_table(profile));
  return 0;
}

}  // namespace moeplan::cli
