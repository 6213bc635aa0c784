#include "cli/page_output.hpp"

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "study/page.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;

void add_page_option(po::options_description& options) {
  options.add_options()("html", po::value<std::string>()->value_name("FILE"), "write the report: one page that opens offline in any browser");
}

PageOutput::PageOutput(const ParsedOptions& options) {
  const std::string file = options.text("html");
  if (file == "-") throw InputError("--html", "names a file; for stdout take --json -");
  if (!file.empty() && !file.starts_with("/dev/") && options.has("json") && file == options.text("json")) {
    throw InputError("--html", "names the file of --json, '" + file + "': one of the two would be lost");
  }
  if (!file.empty()) file_ = std::make_unique<AtomicFile>(file);
}

PageOutput::~PageOutput() = default;

void PageOutput::write(const std::string& json) {
  file_->write(report_page(json));
  file_->commit();
}

}  // namespace moeplan::cli
