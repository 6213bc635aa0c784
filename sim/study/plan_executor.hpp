// Who does the work of a plan search: threads of one process, or processes of many machines. Work items are numbered and their results are texts,
// so that the search itself is the same program everywhere and its answer does not depend on who did what.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace moeplan {

class PlanExecutor {
 public:
  using Work = std::function<std::string(std::size_t)>;
  virtual ~PlanExecutor() = default;
  /// work(0) ... work(items - 1), in this order, in every process. `work` may be called from several threads at once, for any item in any process.
  virtual std::vector<std::string> map(std::size_t items, const Work& work) = 0;
};

/// Threads of this process.
class ThreadExecutor final : public PlanExecutor {
 public:
  /// `jobs` threads at most; 0: all cores.
  explicit ThreadExecutor(int jobs) : jobs_(jobs) {}
  std::vector<std::string> map(std::size_t items, const Work& work) override;

 private:
  int jobs_;
};

}  // namespace moeplan
