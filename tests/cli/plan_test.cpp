// `moeplan plan` from the outside: interrupted, killed, continued, over several processes.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "program.hpp"

using namespace moeplan::test;
using nlohmann::json;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Twelve deployments, 36 candidates.
json question() {
  return json::parse(R"({
    "name": "small", "model": "llama-3.1-8b", "cluster": {"gpu": "l40s"},
    "deployment": {"engine": "vllm", "cost_profile": "datasheet"},
    "workload": {
      "arrivals": {"process": "poisson", "rate": "30 /s"},
      "prompt_tokens": {"distribution": "uniform", "low": 100, "high": 900},
      "output_tokens": {"distribution": "uniform", "low": 20, "high": 100},
      "requests": 330, "warmup_requests": 30
    },
    "objectives": {"ttft_p90": "500 ms", "tpot_p90": "40 ms"},
    "search": {"gpus": ["l40s", "h100-sxm", "a100-sxm-80"], "parallel": [{"tensor": 1}, {"tensor": 2}], "precision": ["bf16", "fp8"], "pareto_up_to": 4,
               "schedulers": [{"max_batch_requests": 128}, {"max_batch_requests": 64}, {"max_batch_requests": 16}], "limits": {"gpus": 24}},
    "uncertainty": {"samples": 8},
    "cost": {"rental": "auto"}
  })");
}

std::string write_question(const Program& program) { return program.write("q.json", question().dump(1)); }

int lines_of(const Program& program, const std::string& file) {
  const std::string text = program.read(file);
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

/// A child process that runs in the program's folder, its output in files there.
class Child {
 public:
  Child(const Program& program, const std::vector<std::string>& words) {
    pid_ = fork();
    if (pid_ != 0) return;
    if (chdir(program.folder().c_str()) != 0) _exit(99);
    const int out = open("child.out", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const int err = open("child.err", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(98);
  }
  /// Sends `signal` as soon as the journal has `lines` lines; gives the exit code, or 128 + the signal that ended it.
  int signal_after(const Program& program, const std::string& journal, int lines, int signal) {
    return act_after(program, journal, lines, [&] { return kill(pid_, signal) == 0; });
  }
  /// The same for anything to do; `act` says whether it was done.
  int act_after(const Program& program, const std::string& journal, int lines, const std::function<bool()>& act) {
    bool done = false;
    while (waitpid(pid_, &status_, WNOHANG) == 0) {
      if (!done && lines_of(program, journal) >= lines) done = act();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }
  /// Its end, undisturbed.
  int wait() {
    waitpid(pid_, &status_, 0);
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

/// The answer of an uninterrupted search.
const std::string& expected() {
  static const std::string answer = [] {
    const Program program;
    const Outcome outcome = program.run({"plan", write_question(program), "--json", "-"});
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.err == "");
    return outcome.out;
  }();
  return answer;
}

}  // namespace

TEST_CASE("a plan ends in words for a director and leaves nothing behind") {
  const Program program;
  const Outcome outcome = program.run({"plan", write_question(program), "--json", "r.json"});
  CHECK(outcome.exit_code == 0);
  for (const char* part : {"buy ", " x NVIDIA", "USD/h", "USD per million output tokens", "ttft_p90", "headroom", "nearly won", "36 candidates", "assumptions that matter most"}) {
    CAPTURE(part);
    CHECK(contains(outcome.out, part));
  }
  CHECK(program.files() == std::vector<std::string>{"q.json", "r.json"});
  CHECK(program.read("r.json") == expected());
}

TEST_CASE("what is finished in the first moments is kept: killed after the first deployment was looked at, the search goes on from there") {
  const Program program;
  const std::string file = write_question(program);
  Child child(program, {MOEPLAN_PROGRAM, "plan", file, "--resume", "j", "--jobs", "1"});
  CHECK(child.signal_after(program, "j/finished-0.jsonl", 2, SIGKILL) == 128 + SIGKILL);
  CHECK(contains(program.read("j/finished-0.jsonl"), " screened\""));
  CHECK(program.run({"plan", file, "--resume", "j", "--json", "-"}).out == expected());
}

TEST_CASE("killed in the middle, the search goes on from its journal to the same bytes") {
  const Program program;
  const std::string file = write_question(program);
  Child child(program, {MOEPLAN_PROGRAM, "plan", file, "--resume", "j", "--jobs", "1"});
  // a line for the journal itself, one for each deployment screened and for each candidate simulated
  CHECK(child.signal_after(program, "j/finished-0.jsonl", 15, SIGKILL) == 128 + SIGKILL);
  const int before = lines_of(program, "j/finished-0.jsonl");
  CHECK(before >= 15);
  CHECK(before < 1 + 12 + 36);
  const Outcome resumed = program.run({"plan", file, "--resume", "j", "--json", "-", "--jobs", "3"});
  CHECK(resumed.exit_code == 0);
  CHECK(resumed.out == expected());
  CHECK(lines_of(program, "j/finished-0.jsonl") > before);
}

TEST_CASE("Ctrl-C names what is unfinished and how to go on") {
  const Program program;
  const std::string file = write_question(program);
  Child child(program, {MOEPLAN_PROGRAM, "plan", file, "--resume", "j", "--jobs", "1"});
  CHECK(child.signal_after(program, "j/finished-0.jsonl", 2, SIGINT) == 128 + SIGINT);
  const std::string err = program.read("child.err");
  CAPTURE(err);
  CHECK(contains(err, "moeplan: interrupted, "));
  CHECK(contains(err, " of 12 deployments unfinished: llama-3.1-8b/"));
  CHECK(contains(err, "--resume j continues"));
  CHECK(program.run({"plan", file, "--resume", "j", "--json", "-"}).out == expected());
}

TEST_CASE("a time budget answers with what is known, and the journal beside it goes on") {
  const Program program;
  const std::string file = write_question(program);
  const Outcome cut = program.run({"plan", file, "--budget", "0.000001", "--json", "r.json"});
  CHECK(cut.exit_code == 0);
  CHECK(json::parse(program.read("r.json"))["plan"]["exhausted"] == false);
  CHECK(contains(cut.out, "no plan was found before the time budget ended; --resume q.journal goes on"));
  CHECK(program.run({"plan", file, "--resume", "q.journal", "--json", "-"}).out == expected());
}

TEST_CASE("a time budget that suffices changes nothing, and one on its own stdout says on stderr what remains") {
  const Program program;
  const std::string file = write_question(program);
  const Outcome whole = program.run({"plan", file, "--budget", "1000", "--json", "-"});
  CHECK(whole.out == expected());
  CHECK(whole.err == "");
  const Outcome cut = program.run({"plan", file, "--budget", "0.000001", "--resume", "other", "--json", "-"});
  CHECK(cut.exit_code == 0);
  CHECK(json::parse(cut.out)["plan"]["exhausted"] == false);
  CHECK(contains(cut.err, "NOT EXHAUSTED: the time budget ended the search"));
  CHECK(contains(cut.err, "--resume other goes on"));
}

TEST_CASE("a journal is refused once the scenario has changed") {
  const Program program;
  CHECK(program.run({"plan", write_question(program), "--resume", "j"}).exit_code == 0);
  json other = question();
  other["objectives"]["tpot_p90"] = "41 ms";
  const Outcome refused = program.run({"plan", program.write("other.json", other.dump()), "--resume", "j"});
  CHECK(refused.exit_code == 2);
  CHECK(contains(refused.err, "j: holds another search: the scenario, its data or moeplan have changed since"));
}

TEST_CASE("anchors that match no candidate are refused") {
  const Program program;
  const Outcome refused = program.run({"plan", write_question(program), "--anchors", std::string(MOEPLAN_SOURCE_DIR) + "/scenarios/measured_runs/published_runs.csv"});
  CHECK(refused.exit_code == 2);
  CHECK(contains(refused.err, "no row was measured on a candidate of the search"));
}

#ifdef MOEPLAN_MPIRUN
namespace {

/// Processes that `parent` has started, by rising id.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string stat = slurp(entry.path() / "stat");
    const std::size_t after_name = stat.rfind(')');
    int of = 0;
    if (after_name != std::string::npos && std::sscanf(stat.c_str() + after_name, ") %*c %d", &of) == 1 && of == parent) children.push_back(std::stoi(name));
  }
  std::sort(children.begin(), children.end());
  return children;
}

std::vector<std::string> launched(const std::vector<std::string>& words) {
  // MPI leaves memory behind at its end, which is not ours to judge.
  std::vector<std::string> out = {MOEPLAN_MPIRUN, "--allow-run-as-root", "--oversubscribe", "-x", "ASAN_OPTIONS=detect_leaks=0", "-n", "2", MOEPLAN_PROGRAM};
  out.insert(out.end(), words.begin(), words.end());
  return out;
}

}  // namespace

TEST_CASE("two processes give the bytes of one") {
  const Program program;
  Child child(program, launched({"plan", write_question(program), "--json", "r.json", "--resume", "j"}));
  CHECK(child.wait() == 0);
  CHECK(program.read("r.json") == expected());
  CHECK(lines_of(program, "j/finished-1.jsonl") > 1);
}

TEST_CASE("a process that dies ends the job, which names what is unfinished and can be continued by one process") {
  const Program program;
  const std::string file = write_question(program);
  Child child(program, launched({"plan", file, "--resume", "j", "--jobs", "1"}));
  const int code = child.act_after(program, "j/finished-1.jsonl", 2, [&] {
    const std::vector<pid_t> ranks = children_of(child.pid());
    return ranks.size() == 2 && kill(ranks.back(), SIGKILL) == 0;
  });
  CHECK(code != 0);
  const std::string err = program.read("child.err");
  CAPTURE(err);
  CHECK(contains(err, "moeplan: interrupted, "));
  CHECK(contains(err, "deployments unfinished: "));
  CHECK(program.run({"plan", file, "--resume", "j", "--json", "-"}).out == expected());
}

TEST_CASE("wrong input is said once, not by every process") {
  const Program program;
  Child child(program, launched({"plan", "nowhere.json"}));
  CHECK(child.wait() != 0);
  const std::string err = program.read("child.err");
  CHECK(contains(err, "moeplan: nowhere.json"));
  CHECK(err.find("moeplan: nowhere.json") == err.rfind("moeplan: nowhere.json"));
}
#endif
