#include "metrics/window_tally.hpp"

#include <algorithm>

namespace moeplan {

WindowTally::WindowTally(const MeasuredRequests& measured)
    : measured_(measured), middle_id_(measured.first() + (measured.total - std::min(measured.total, measured.first())) / 2) {}

void WindowTally::on_arrival(const RequestSpec& spec) {
  last_arrival_ = spec.arrival;
  if (spec.id == measured_.first()) start_ = spec.arrival;
  if (spec.id == middle_id_) middle_ = spec.arrival;
  if (spec.id + 1 == measured_.total) {
    end_ = spec.arrival;
    all_arrived_ = true;
  }
  for (const Pending& p : near_) {
    if (all_arrived_ || p.at <= last_arrival_) {
      count(p.at, p.tally);
    } else {
      far_.push(p);
    }
  }
  near_.clear();
  for (; !far_.empty() && (all_arrived_ || far_.top().at <= last_arrival_); far_.pop()) count(far_.top().at, far_.top().tally);
}

void WindowTally::finish() {
  // A run that stopped before its last request arrived: its window ends with the last arrival there was.
  if (!all_arrived_ && start_ != kNever) end_ = last_arrival_;
  if (!all_arrived_ && middle_ == kNever) middle_ = end_;
  all_arrived_ = true;
  for (const Pending& p : near_) count(p.at, p.tally);
  near_.clear();
  for (; !far_.empty(); far_.pop()) count(far_.top().at, far_.top().tally);
}

WindowCounts WindowTally::to_last_token() const {
  WindowCounts sum = parts_[kFirstHalf];
  sum += parts_[kSecondHalf];
  sum += parts_[kDrain];
  return sum;
}

WindowCounts WindowTally::in_window() const {
  if (!ends_at_last_arrival()) return to_last_token();
  WindowCounts sum = parts_[kFirstHalf];
  sum += parts_[kSecondHalf];
  return sum;
}

double WindowTally::seconds() const {
  if (start_ == kNever) return 0;
  return ends_at_last_arrival() ? to_seconds(end_ - start_).value() : seconds_to_last_token();
}

}  // namespace moeplan
