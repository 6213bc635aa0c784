#include <atomic>
#include <chrono>
#include <optional>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/page_output.hpp"
#include "cli/plan_process.hpp"
#include "input/json_document.hpp"
#include "study/error_model.hpp"
#include "study/plan.hpp"
#include "study/plan_journal.hpp"
#include "study/plan_report.hpp"

namespace moeplan::cli {
namespace po = boost::program_options;
namespace fs = std::filesystem;

namespace {

/// Shows progress, and remembers for an interruption what is finished.
class ShownStatus final : public PlanStatus {
 public:
  ShownStatus(const PlanSpace& space, PlanProcess& process) : total_(space.candidates.size()), process_(process), progress_("planning") {
    for (const PlanGroup& group : space.groups) process_.expect(group.id);
  }
  void finished(const std::string& group, std::size_t candidates) override {
    if (process_.finished(group)) progress_.update(static_cast<double>(done_ += candidates) / static_cast<double>(total_));
  }

 private:
  std::size_t total_;
  std::atomic<std::size_t> done_{0};
  PlanProcess& process_;
  Progress progress_;
};

po::options_description plan_options() {
  po::options_description options("Options");
  options.add_options()("anchors", po::value<std::string>()->value_name("RUNS.csv"), "measured points that correct the engine of the candidates they were measured on")(
      "budget", po::value<double>()->value_name("SECONDS"), "stop after so long and answer with what is known, naming what is not; needs no --resume: what is finished is kept in SCENARIO.journal")(
      "resume", po::value<std::string>()->value_name("DIR"), "journal of finished candidates: made when it is not there, continued when it is")(
      "json", po::value<std::string>()->value_name("FILE"), "write the answer as JSON (- for stdout, instead of the summary)")(
      "jobs", po::value<std::int64_t>()->value_name("N")->default_value(0), "threads; 0 = all. For many machines: mpirun -n N moeplan plan ...");
  add_page_option(options);
  options.add(common_options());
  return options;
}

/// How long the full simulation of the best plan may go on after a time budget.
constexpr double kGraceSeconds = 0.5;

/// Journal folder: as named, or beside the working directory when only a budget is given.
fs::path journal_folder(const ParsedOptions& parsed, const fs::path& scenario) {
  if (parsed.has("resume")) return parsed.text("resume");
  return parsed.has("budget") ? fs::path(scenario.stem().string() + ".journal") : fs::path();
}

}  // namespace

int run_plan(const Arguments& arguments) {
  const std::string usage = "moeplan plan SCENARIO.json [options]";
  const ParsedOptions parsed = parse_options(usage, plan_options(), "scenario", 1, arguments);
  if (parsed.done) return 0;

  const DataRoot data = data_root(parsed);
  const fs::path file = parsed.values["scenario"].as<std::vector<std::string>>().at(0);
  const double budget = parsed.has("budget") ? parsed.values["budget"].as<double>() : 0;
  if (parsed.has("budget") && !(budget > 0)) throw InputError("--budget", "accepted: a positive number of seconds");
  const fs::path journal_at = journal_folder(parsed, file);
  PlanProcess process(static_cast<int>(whole_number(parsed, "jobs", 0, kMaxJobs)), journal_at);
  return process.guarded([&] {
    const auto start = std::chrono::steady_clock::now();
    const JsonDocument document = load_json(file, data.schema("scenario"));
    PlanSpace space = lay_out_plan(document, file.parent_path(), data, parsed.text("anchors"));
    for (PlanBase& base : space.bases) base.scenario.files.insert(base.scenario.files.begin(), file);
    // A target that cannot be written is refused before the work; nothing lies about while that can be interrupted.
    if (process.speaks()) {
      const JsonOutput json(parsed.text("json"));
      const PageOutput page(parsed);
    }
    std::optional<PlanJournal> journal;
    if (!journal_at.empty()) journal.emplace(journal_at, space.inputs, process.rank());
    PlanOptions options;
    options.executor = &process.executor();
    options.journal = journal ? &*journal : nullptr;
    options.anchors = parsed.text("anchors");
    const auto after = [&](double seconds) {
      return budget > 0 ? TimeIsOver([start, seconds] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > seconds; }) : TimeIsOver();
    };
    options.out_of_time = after(budget);
    const PlanAnswer answer = [&] {
      ShownStatus status(space, process);
      options.status = &status;
      return search_plan(space, data, options);
    }();
    process.search_is_over();
    if (!process.speaks()) return 0;
    const ErrorModel errors = load_error_model(data.error_model());
    const PlanReport report = [&] {
      Progress progress("assessing the plan");
      return report_plan(space, answer, {&errors, process.jobs(), [&](double share) { progress.update(share); }, options.out_of_time, after(budget + kGraceSeconds), options.journal});
    }();
    JsonOutput json(parsed.text("json"));
    PageOutput page(parsed);
    const std::string text = json.wanted() || page.wanted() ? plan_json(space, answer, report, data) : std::string();
    if (json.wanted()) json.write(text);
    if (page.wanted()) page.write(text);
    const std::string resume = "--resume " + journal_at.string();
    if (!json.to_stdout()) print_text(plan_summary(space, answer, report, resume));
    else if (const std::string remains = cut_short_text(answer, report, resume); !remains.empty()) std::fputs(("moeplan: " + remains.substr(1)).c_str(), stderr);
    return 0;
  });
}

}  // namespace moeplan::cli
