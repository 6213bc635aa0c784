#include "cli/plan_process.hpp"

#include <fmt/core.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "base/error.hpp"

#ifdef MOEPLAN_MPI
#include <boost/mpi/collectives.hpp>
#include <boost/mpi/communicator.hpp>
#include <boost/mpi/environment.hpp>
#endif

namespace moeplan::cli {

namespace {

int number_in(const char* name) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::max(1, std::atoi(text)) : 0;
}

/// Tasks of the step that srun has started this process in; 0 without one. A batch script sees the job's tasks, too; only a process that srun has started
/// has a rank of its own in a step.
int slurm_tasks() {
  return std::getenv("SLURM_STEP_ID") != nullptr && std::getenv("SLURM_PROCID") != nullptr ? number_in("SLURM_STEP_NUM_TASKS") : 0;
}

/// Whether the processes can find each other: what starts them has to say where.
bool introduced() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_FD", "MPI_LOCALNRANKS"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

/// Processes that a launcher has started together; 1 without one.
int launched_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"}) {
    if (const int size = number_in(name); size > 0) return size;
  }
  return std::max(1, slurm_tasks());
}

#ifdef MOEPLAN_MPI
constexpr int kReady = 1;
constexpr int kGo = 2;

/// Takes one message without keeping a core busy while it waits, as MPI's own waiting does.
void receive_asleep(const boost::mpi::communicator& world, int from, int tag) {
  while (!world.iprobe(from, tag)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  world.recv(from, tag);
}

/// All have come here before any goes on.
void meet(const boost::mpi::communicator& world) {
  if (world.rank() == 0) {
    for (int r = 1; r < world.size(); ++r) receive_asleep(world, r, kReady);
    for (int r = 1; r < world.size(); ++r) world.send(r, kGo);
  } else {
    world.send(0, kReady);
    receive_asleep(world, 0, kGo);
  }
}

/// Every process does every n-th item with its threads; then all tell all.
class MpiExecutor final : public PlanExecutor {
 public:
  MpiExecutor(const boost::mpi::communicator& world, int jobs) : world_(world), threads_(jobs) {}
  std::vector<std::string> map(std::size_t items, const Work& work) override {
    const auto size = static_cast<std::size_t>(world_.size());
    const auto rank = static_cast<std::size_t>(world_.rank());
    const std::size_t own = items / size + (rank < items % size ? 1 : 0);
    const std::vector<std::string> mine = threads_.map(own, [&](std::size_t i) { return work(rank + i * size); });
    std::vector<std::string> all;
    meet(world_);
    boost::mpi::all_gather(world_, nlohmann::json(mine).dump(), all);
    std::vector<std::string> results(items);
    for (std::size_t r = 0; r < size; ++r) {
      const auto theirs = nlohmann::json::parse(all[r]).get<std::vector<std::string>>();
      for (std::size_t i = 0; i < theirs.size(); ++i) results[r + i * size] = theirs[i];
    }
    return results;
  }

 private:
  const boost::mpi::communicator& world_;
  ThreadExecutor threads_;
};
#endif

constexpr std::size_t kNamed = 5;

}  // namespace

struct PlanProcess::State {
  std::filesystem::path journal;
  std::unique_ptr<PlanExecutor> executor;
  int rank = 0;
  int jobs = 0;
  std::atomic<bool> searching{false};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::vector<std::pair<std::string, bool>> items;  ///< in order; whether finished
  sigset_t signals{};
  sigset_t before{};
  std::thread watcher;
#ifdef MOEPLAN_MPI
  std::optional<boost::mpi::environment> environment;
  std::optional<boost::mpi::communicator> world;
#endif

  void watch();
  [[noreturn]] void interrupted(int signal);
  [[nodiscard]] std::string unfinished();
};

std::string PlanProcess::State::unfinished() {
  const std::lock_guard lock(mutex);
  std::vector<std::string> open;
  for (const auto& [item, done] : items) {
    if (!done) open.push_back(item);
  }
  if (open.empty()) return "before the answer was written";
  std::string text = fmt::format("{} of {} deployments unfinished: ", open.size(), items.size());
  for (std::size_t i = 0; i < std::min(kNamed, open.size()); ++i) text += (i == 0 ? "" : ", ") + open[i];
  return open.size() > kNamed ? text + fmt::format(" and {} more", open.size() - kNamed) : text;
}

void PlanProcess::State::interrupted(int signal) {
  if (rank == 0) {
    const std::string more = journal.empty() ? "; with --resume DIR the next search can be continued" : fmt::format("; --resume {} continues", journal.string());
    fmt::print(stderr, "\nmoeplan: interrupted, {}{}\n", unfinished(), more);
    std::fflush(stderr);
  }
  _exit(128 + signal);
}

void PlanProcess::State::watch() {
  const timespec pause{0, 100'000'000};
  while (!stop) {
    const int signal = sigtimedwait(&signals, nullptr, &pause);
    if (signal > 0) interrupted(signal);
  }
}

PlanProcess::PlanProcess(int jobs, std::filesystem::path journal) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.journal = std::move(journal);
  s.jobs = jobs;
  // Blocked before any thread starts, those of MPI too, so that none but the watcher takes them.
  sigemptyset(&s.signals);
  sigaddset(&s.signals, SIGINT);
  sigaddset(&s.signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &s.signals, &s.before);
  const int processes = launched_processes();
  if (processes > 1 && !introduced()) {
    // Each would search alone, and all would write the same files: one says so.
    if (std::atoi(std::getenv("SLURM_PROCID")) > 0) _exit(2);
    throw InputError(fmt::format("srun started {} processes that cannot find each other; accepted: srun --mpi=pmix, or mpirun -n {} in the allocation", processes, processes));
  }
#ifdef MOEPLAN_MPI
  if (processes > 1) {
    s.environment.emplace(boost::mpi::threading::funneled, false);
    s.world.emplace();
    if (s.world->size() != processes) {
      throw InputError(fmt::format("started as {} processes, of which MPI sees {}: the launcher is not of the MPI that this moeplan was built with", processes, s.world->size()));
    }
    s.rank = s.world->rank();
    s.executor = std::make_unique<MpiExecutor>(*s.world, jobs);
  }
#else
  if (processes > 1) {
    throw InputError(fmt::format("started as {} processes, but this moeplan was built without MPI (libboost-mpi-dev, libopenmpi-dev)", processes));
  }
#endif
  if (!s.executor) s.executor = std::make_unique<ThreadExecutor>(jobs);
  s.watcher = std::thread([&s] { s.watch(); });
}

PlanProcess::~PlanProcess() {
#ifdef MOEPLAN_MPI
  // The others leave with the one that writes the answer.
  if (state_->world) meet(*state_->world);
#endif
  state_->stop = true;
  state_->watcher.join();
  pthread_sigmask(SIG_SETMASK, &state_->before, nullptr);
}

PlanExecutor& PlanProcess::executor() { return *state_->executor; }
int PlanProcess::rank() const { return state_->rank; }
int PlanProcess::jobs() const { return state_->jobs; }

void PlanProcess::expect(const std::string& item) {
  state_->searching = true;
  const std::lock_guard lock(state_->mutex);
  state_->items.emplace_back(item, false);
}

bool PlanProcess::finished(const std::string& item) {
  const std::lock_guard lock(state_->mutex);
  for (auto& [name, done] : state_->items) {
    if (name == item && !done) return done = true;
  }
  return false;
}

void PlanProcess::search_is_over() { state_->searching = false; }

int PlanProcess::guarded(const std::function<int()>& body) {
#ifdef MOEPLAN_MPI
  if (state_->world) {
    try {
      return body();
    } catch (const InputError& error) {
      if (!state_->searching) {
        // Said here: once a process has gone, the launcher may end the others before they have spoken.
        if (speaks()) fmt::print(stderr, "moeplan: {}\n", error.what());
        std::fflush(stderr);
        return 2;
      }
      fmt::print(stderr, "moeplan: process {}: {}; {}\n", state_->rank, error.what(), state_->unfinished());
    } catch (const std::exception& error) {
      fmt::print(stderr, "moeplan: process {}: internal error: {}; {}\n", state_->rank, error.what(), state_->unfinished());
    }
    std::fflush(stderr);
    boost::mpi::environment::abort(3);
  }
#endif
  return body();
}

}  // namespace moeplan::cli
