#include "study/plan_executor.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <optional>

namespace moeplan {

std::vector<std::string> ThreadExecutor::map(std::size_t items, const Work& work) {
  std::optional<tbb::global_control> limit;
  if (jobs_ > 0) limit.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(jobs_));
  std::vector<std::string> results(items);
  tbb::parallel_for(
      tbb::blocked_range<std::size_t>(0, items, 1),
      [&](const tbb::blocked_range<std::size_t>& range) {
        for (std::size_t i = range.begin(); i < range.end(); ++i) results[i] = work(i);
      },
      tbb::simple_partitioner());
  return results;
}

}  // namespace moeplan
