#include "workload/request_maker.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moeplan {

TraceReader TraceCycle::open() const {
  TraceReader reader(file_);
  if (blocks_) reader.keep_blocks();
  return reader;
}

const TraceRow& TraceCycle::next() {
  if (reader_.next(row_)) return row_;
  reader_ = open();
  if (!reader_.next(row_)) throw InputError(file_.string(), "the trace has no requests");
  return row_;
}

RequestMaker::Draws::Draws(const LengthConfig& config, std::uint64_t seed, const std::string& stream) : random(seed, stream) {
  if (config.kind != LengthKind::kTrace) {
    sampler.emplace(config);
  } else if (!config.file.empty()) {
    trace = std::make_unique<TraceCycle>(config.file);
  }
}

RequestMaker::RequestMaker(const WorkloadConfig& config, std::uint64_t seed) : class_stream_(seed, "classes") {
  double sum = 0;
  for (const WorkloadClass& c : config.classes) {
    classes_.push_back({Draws(c.prompt_tokens, seed, "prompt_tokens/" + c.name), Draws(c.output_tokens, seed, "output_tokens/" + c.name), c.priority});
    names_.push_back(c.name);
    cumulative_.push_back(sum += c.weight);
  }
  MOEPLAN_CHECK(!classes_.empty());
}

std::int32_t RequestMaker::pick_class(const TraceRow* row) {
  if (row != nullptr && !row->class_name.empty()) {
    const auto it = std::find(names_.begin(), names_.end(), row->class_name);
    MOEPLAN_CHECK(it != names_.end());  // resolve_workload has seen every name
    return static_cast<std::int32_t>(it - names_.begin());
  }
  const double x = class_stream_.uniform() * cumulative_.back();
  const auto at = std::upper_bound(cumulative_.begin(), cumulative_.end(), x) - cumulative_.begin();
  return static_cast<std::int32_t>(std::min<std::ptrdiff_t>(at, std::ssize(cumulative_) - 1));
}

std::int32_t RequestMaker::from_trace(Draws& draws, const TraceRow* row, std::int32_t TraceRow::*tokens) {
  if (draws.trace) return draws.trace->next().*tokens;
  MOEPLAN_CHECK(row != nullptr);
  return row->*tokens;
}

}  // namespace moeplan
