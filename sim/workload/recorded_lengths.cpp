#include "workload/recorded_lengths.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "base/error.hpp"
#include "workload/trace_reader.hpp"

namespace moeplan {

namespace {

struct Lengths {
  std::int32_t prompt, output;
};

std::size_t blocks_of(std::size_t rows) { return std::max<std::size_t>(1, (rows + kDealtBlock / 2) / kDealtBlock); }

/// Bands of rows of like output, in multiples of a group, which gives one row to each block; about as many as there are groups in one. Of equal shares of
/// the outputs' square roots: the few longest answers, which make up much of the mean, are told apart more finely.
std::vector<std::size_t> bands_of(const std::vector<Lengths>& rows) {
  const std::size_t group = blocks_of(rows.size());
  double all = 0;
  for (const Lengths& row : rows) all += std::sqrt(row.output);
  const double share = all / std::max(1.0, std::round(std::sqrt(static_cast<double>(rows.size()) / static_cast<double>(group))));
  std::vector<std::size_t> ends;
  double sum = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    sum += std::sqrt(rows[i].output);
    if ((i + 1) % group != 0 || sum < share * static_cast<double>(ends.size() + 1)) continue;
    ends.push_back(i + 1);
  }
  if (ends.empty() || ends.back() != rows.size()) ends.push_back(rows.size());
  return ends;
}

void sort_alike(std::vector<Lengths>& rows) {
  const auto by_output = [](const Lengths& a, const Lengths& b) { return std::tie(a.output, a.prompt) < std::tie(b.output, b.prompt); };
  const auto by_prompt = [](const Lengths& a, const Lengths& b) { return std::tie(a.prompt, a.output) < std::tie(b.prompt, b.output); };
  std::sort(rows.begin(), rows.end(), by_output);
  bool rising = true;
  std::size_t start = 0;
  for (const std::size_t end : bands_of(rows)) {
    const auto first = rows.begin() + static_cast<std::ptrdiff_t>(start);
    const auto last = rows.begin() + static_cast<std::ptrdiff_t>(end);
    std::sort(first, last, by_prompt);
    if (!rising) std::reverse(first, last);
    rising = !rising;
    start = end;
  }
}

template <class Iterator>
void shuffle_range(Iterator first, std::size_t count, RandomStream& random) {
  for (std::size_t i = count; i > 1; --i) std::swap(first[i - 1], first[random.below(static_cast<std::uint32_t>(i))]);
}

}  // namespace

std::shared_ptr<const RecordedLengths> read_recorded_lengths(const std::filesystem::path& file) {
  TraceReader reader(file);
  std::vector<Lengths> rows;
  for (TraceRow row; reader.next(row);) rows.push_back({row.prompt_tokens, row.output_tokens});
  if (rows.empty()) throw InputError(file.string() + ":1", "the trace has no requests; accepted: at least one row");
  sort_alike(rows);
  auto lengths = std::make_shared<RecordedLengths>();
  for (const Lengths& row : rows) {
    lengths->prompt_tokens.push_back(row.prompt);
    lengths->output_tokens.push_back(row.output);
    lengths->mean_prompt += row.prompt;
    lengths->mean_output += row.output;
  }
  lengths->mean_prompt /= static_cast<double>(rows.size());
  lengths->mean_output /= static_cast<double>(rows.size());
  return lengths;
}

void RowDeck::shuffle(RandomStream& random) {
  const std::size_t rows = rows_->rows();
  const std::size_t blocks = blocks_of(rows);
  std::vector<std::uint32_t> block_of(rows), ids(blocks);
  std::vector<std::size_t> end(blocks + 1, 0);
  std::iota(ids.begin(), ids.end(), 0U);
  for (std::size_t group = 0; group < rows; group += blocks) {
    shuffle_range(ids.begin(), blocks, random);
    for (std::size_t i = 0; i < blocks && group + i < rows; ++i) {
      block_of[group + i] = ids[i];
      ++end[ids[i] + 1];
    }
  }
  std::partial_sum(end.begin(), end.end(), end.begin());
  const std::vector<std::size_t> first = end;
  order_.resize(rows);
  for (std::size_t row = 0; row < rows; ++row) order_[end[block_of[row]]++] = static_cast<std::uint32_t>(row);
  for (std::size_t b = 0; b < blocks; ++b) shuffle_range(order_.begin() + static_cast<std::ptrdiff_t>(first[b]), first[b + 1] - first[b], random);
  next_ = 0;
}

}  // namespace moeplan
