// Gives each request its class and its lengths, from one random stream per purpose, or from rows of a trace.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/random.hpp"
#include "workload/lengths.hpp"
#include "workload/recorded_lengths.hpp"
#include "workload/request_source.hpp"
#include "workload/trace_reader.hpp"
#include "workload/workload_config.hpp"

namespace moeplan {

/// A trace read over and over.
class TraceCycle {
 public:
  /// `blocks`: rows come with the prefix blocks that the trace recorded.
  explicit TraceCycle(std::filesystem::path file, bool blocks = false) : file_(std::move(file)), blocks_(blocks), reader_(open()) {}
  /// The next row; after the last, the first again.
  const TraceRow& next();

 private:
  [[nodiscard]] TraceReader open() const;
  std::filesystem::path file_;
  bool blocks_;
  TraceReader reader_;
  TraceRow row_;
};

class RequestMaker {
 public:
  /// `config` is resolved.
  RequestMaker(const WorkloadConfig& config, std::uint64_t seed);

  /// Request `id`, arriving at `arrival`; `row` is its row of the arrivals' trace, if any. Called once per id, in order.
  RequestSpec make(std::uint64_t id, SimTime arrival, const TraceRow* row = nullptr) {
    RequestSpec spec;
    spec.id = id;
    spec.arrival = arrival;
    if (classes_.size() > 1) spec.class_id = pick_class(row);
    ClassDraws& c = classes_[static_cast<std::size_t>(spec.class_id)];
    spec.prompt_tokens = c.prompt.sampler ? c.prompt.sampler->draw(c.prompt.random) : prompt_from_trace(c, row);
    spec.output_tokens = c.output.sampler ? c.output.sampler->draw(c.output.random) : output_from_trace(c, row);
    spec.priority = c.priority;
    if (c.prefixes > 0) add_prefix(c, spec);
    if (row != nullptr && row->prefix_id >= 0) {
      spec.prefix_id = row->prefix_id;
      spec.prefix_tokens = std::min(row->prefix_tokens, spec.prompt_tokens);
    }
    return spec;
  }

 private:
  struct Draws {
    Draws(const LengthConfig& config, std::uint64_t seed, const std::string& stream);
    std::optional<LengthSampler> sampler;
    RandomStream random;
    std::optional<RowDeck> deck;  ///< nothing with no sampler: the row of the arrivals' trace
  };
  struct ClassDraws {
    Draws prompt;
    Draws output;
    std::int32_t priority = 0;
    std::int32_t prefixes = 0;  ///< shared beginnings to choose from
    std::int32_t prefix_tokens = 0;
    std::int64_t first_prefix_id = 0;
    std::vector<double> prefix_cumulative;  ///< of their weights; empty: all alike
    RandomStream prefix_stream;
    bool one_row = false;    ///< prompt and output are dealt together
    std::size_t dealt = 0;   ///< row of the prompt's deck
  };
  std::int32_t pick_class(const TraceRow* row);
  static void add_prefix(ClassDraws& c, RequestSpec& spec);
  static std::int32_t prompt_from_trace(ClassDraws& c, const TraceRow* row);
  static std::int32_t output_from_trace(ClassDraws& c, const TraceRow* row);

  std::vector<ClassDraws> classes_;
  std::vector<std::string> names_;
  std::vector<double> cumulative_;  ///< of the class weights
  RandomStream class_stream_;
};

}  // namespace moeplan
