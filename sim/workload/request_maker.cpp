#include "workload/request_maker.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

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
  } else if (config.recorded) {
    deck.emplace(config.recorded);
  }
}

namespace {

/// Classes have prefixes of their own.
std::int64_t prefix_base(const std::string& name) { return static_cast<std::int64_t>(stable_hash(name) & 0x3FFFFFFF) << 32; }

}  // namespace

void RequestMaker::add_prefix(ClassDraws& c, RequestSpec& spec) {
  std::int64_t index = 0;
  if (c.prefix_cumulative.empty()) {
    if (c.prefixes > 1) index = c.prefix_stream.below(static_cast<std::uint32_t>(c.prefixes));
  } else {
    const double x = c.prefix_stream.uniform() * c.prefix_cumulative.back();
    const auto at = std::upper_bound(c.prefix_cumulative.begin(), c.prefix_cumulative.end(), x) - c.prefix_cumulative.begin();
    index = std::min<std::int64_t>(at, c.prefixes - 1);
  }
  spec.prefix_id = c.first_prefix_id + index;
  spec.prefix_tokens = c.prefix_tokens;
  spec.prompt_tokens += c.prefix_tokens;
}

RequestMaker::RequestMaker(const WorkloadConfig& config, std::uint64_t seed) : class_stream_(seed, "classes") {
  double sum = 0;
  for (const WorkloadClass& c : config.classes) {
    ClassDraws draws{Draws(c.prompt_tokens, seed, "prompt_tokens/" + c.name), Draws(c.output_tokens, seed, "output_tokens/" + c.name), c.priority,
                     c.prefix.tokens > 0 ? c.prefix.count : 0, c.prefix.tokens, prefix_base(c.name), {}, RandomStream(seed, "prefix/" + c.name)};
    draws.one_row = draws.prompt.deck && c.prompt_tokens.recorded == c.output_tokens.recorded;
    if (c.prefix.zipf > 0) {
      double weight = 0;
      for (std::int32_t r = 1; r <= c.prefix.count; ++r) draws.prefix_cumulative.push_back(weight += std::pow(r, -c.prefix.zipf));
    }
    classes_.push_back(std::move(draws));
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

std::int32_t RequestMaker::prompt_from_trace(ClassDraws& c, const TraceRow* row) {
  if (c.prompt.deck) return c.prompt.deck->rows().prompt_tokens[c.dealt = c.prompt.deck->next(c.prompt.random)];
  MOEPLAN_CHECK(row != nullptr);
  return row->prompt_tokens;
}

std::int32_t RequestMaker::output_from_trace(ClassDraws& c, const TraceRow* row) {
  if (c.output.deck) return c.output.deck->rows().output_tokens[c.one_row ? c.dealt : c.output.deck->next(c.output.random)];
  MOEPLAN_CHECK(row != nullptr);
  return row->output_tokens;
}

}  // namespace moeplan
