// Lengths taken from a recorded trace by arrivals that are not its own: rows of the whole trace in a random order, prompt and output of a row together.
//
// A recorded hour is not the same throughout (the first fifth of Azure's conversations answers 20 % longer than the rest), so that its first rows are no
// sample of it. Rows are dealt in blocks of about kDealtBlock. Each block takes one row out of every group of rows that are alike in prompt and output,
// and comes in a random order. So a run of a few thousand requests has the trace's mean lengths and its share of long ones, whatever the seed. Within what
// a deployment has in flight, some hundred requests, lengths vary as independent draws would: what sets percentiles is not smoothed. Left out on
// purpose: that neighbours in the recorded order may be alike; arrivals of the trace itself (process trace) keep it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/random.hpp"

namespace moeplan {

/// Rows of a trace, neighbours alike: in bands of rising output, within which the prompts rise and fall in turn.
struct RecordedLengths {
  std::vector<std::int32_t> prompt_tokens, output_tokens;
  double mean_prompt = 0, mean_output = 0;

  [[nodiscard]] std::size_t rows() const { return prompt_tokens.size(); }
};

/// Throws InputError as TraceReader does, and for a trace without requests.
std::shared_ptr<const RecordedLengths> read_recorded_lengths(const std::filesystem::path& file);

/// Rows in a block, roughly: many more than are in flight together, few enough for a run of a few thousand requests.
inline constexpr std::size_t kDealtBlock = 2048;

/// Deals the rows of a trace: each comes once before any comes again, in another order each time.
class RowDeck {
 public:
  explicit RowDeck(std::shared_ptr<const RecordedLengths> rows) : rows_(std::move(rows)) {}
  /// The next row. `random` is the deck's own.
  std::size_t next(RandomStream& random) {
    if (next_ == order_.size()) shuffle(random);
    return order_[next_++];
  }
  [[nodiscard]] const RecordedLengths& rows() const { return *rows_; }

 private:
  void shuffle(RandomStream& random);

  std::shared_ptr<const RecordedLengths> rows_;
  std::vector<std::uint32_t> order_;
  std::size_t next_ = 0;
};

}  // namespace moeplan
