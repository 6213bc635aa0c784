// Speculative decoding: each decode step drafts some tokens per sequence and verifies them all at once; those accepted in a row, and one that
// the verification itself gives, are made. Draft model and MTP heads differ in cost and memory (cost, study), not here.
//
// Acceptance is drawn per sequence and step, position by position. Tokens accepted beyond the end of an output are thrown away with the
// rejected ones. A crowded batch may accept less (drafts made under load are poorer or cut by the engine) or not draft at all.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.hpp"
#include "serving/sequence.hpp"

namespace moeplan {

struct SpeculationConfig {
  std::vector<double> acceptance;   ///< by position: chance to be accepted when all before it were; its length is that of the draft. Empty: off
  std::int32_t most_sequences = 0;  ///< no drafts when more sequences decode; 0: always
  std::int32_t crowded_above = 0;   ///< with more sequences than this each chance is multiplied by crowded_factor; 0: never
  double crowded_factor = 1.0;

  [[nodiscard]] std::int32_t draft_tokens(std::int32_t sequences) const {
    return most_sequences > 0 && sequences > most_sequences ? 0 : static_cast<std::int32_t>(acceptance.size());
  }
};

/// What speculation did on one replica; `drafted` = `accepted` + `rejected`.
struct SpeculationReport {
  std::int64_t drafted = 0, accepted = 0, rejected = 0;
  std::int64_t verified = 0;                       ///< sequences times steps
  std::int64_t made = 0;                           ///< tokens that decode steps made
  std::vector<std::int64_t> accepted_by_position;  ///< how often each position was accepted
  SpeculationReport& operator+=(const SpeculationReport& other);
};

/// The decoding sequences of one replica, which advance by different numbers of tokens.
class Speculation {
 public:
  Speculation(const SpeculationConfig& config, std::uint64_t seed, std::int32_t replica);

  [[nodiscard]] std::int32_t draft_tokens() const { return config_.draft_tokens(static_cast<std::int32_t>(decoding_.size())); }
  [[nodiscard]] std::vector<SlotIndex>& decoding() { return decoding_; }
  [[nodiscard]] const std::vector<SlotIndex>& decoding() const { return decoding_; }
  void add(SlotIndex slot) { decoding_.push_back(slot); }
  void remove(SlotIndex slot);

  /// Draws how many of `drafts` tokens a step accepts of a sequence that has `left` tokens to make; counts it. Tokens made: one more.
  std::int32_t verify(std::int32_t drafts, std::int32_t left);
  [[nodiscard]] const SpeculationReport& report() const { return report_; }

 private:
  SpeculationConfig config_;
  std::vector<double> tail_;     ///< chance that this position and all before it are accepted
  std::vector<double> crowded_;  ///< the same in a crowded batch
  RandomStream random_;
  std::vector<SlotIndex> decoding_;
  SpeculationReport report_;
};

}  // namespace moeplan
