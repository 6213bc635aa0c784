// The process of a plan search: alone, or one of many that a launcher (mpirun, srun) has started; and what it says when it is interrupted.
//
// Boost.MPI is used only under a launcher and only where it was there at build time. One process speaks: it prints and writes the answer.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "study/plan_executor.hpp"

namespace moeplan::cli {

class PlanProcess {
 public:
  /// Threads of the process: `jobs`, 0 = all cores. `journal`: where finished work lies, for the words of an interruption; may be empty. From here on SIGINT
  /// and SIGTERM end the process with a line that names what is unfinished. Throws InputError under a launcher of several processes without MPI.
  PlanProcess(int jobs, std::filesystem::path journal);
  ~PlanProcess();
  PlanProcess(const PlanProcess&) = delete;
  PlanProcess& operator=(const PlanProcess&) = delete;

  [[nodiscard]] PlanExecutor& executor();
  [[nodiscard]] int rank() const;
  [[nodiscard]] int jobs() const;
  /// Whether this process prints and writes; the first of many.
  [[nodiscard]] bool speaks() const { return rank() == 0; }

  /// Work that an interruption would leave unfinished.
  void expect(const std::string& item);
  /// True when `item` was not finished before. Any thread.
  bool finished(const std::string& item);
  void search_is_over();

  /// Calls `body`. What all processes find wrong is said once; what one of them alone finds wrong in the middle of the search ends them all.
  int guarded(const std::function<int()>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moeplan::cli
