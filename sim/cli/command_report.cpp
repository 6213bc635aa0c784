#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "cli/command.hpp"
#include "study/page.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;

int run_report(const Arguments& arguments) {
  const std::string usage = "moeplan report RESULT.json --html FILE";
  po::options_description options("Options");
  options.add_options()("html", po::value<std::string>()->value_name("FILE"), "the page to write");
  options.add(common_options());
  const ParsedOptions parsed = parse_options(usage, options, "result", 1, arguments);
  if (parsed.done) return 0;

  if (!parsed.has("html")) throw InputError("missing --html FILE; usage: " + usage);
  const std::string page = stored_report_page(parsed.values["result"].as<std::vector<std::string>>().at(0), data_root(parsed).result_schemas());
  write_file(parsed.text("html"), page);
  return 0;
}

}  // namespace moeplan::cli
