// Which replica's step ends next: what both run loops, of one pool and of two, go by when completions matter outside.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>

#include "serving/replica.hpp"

namespace moeplan {

inline SimTime step_end_of(const Replica& replica) { return replica.step_end(); }
/// Of a place whose replica may be gone.
inline SimTime step_end_of(const std::optional<Replica>& replica) { return replica ? replica->step_end() : kNever; }

/// The replica whose step ends next, the first of them; past the end when none runs a step.
template <class Place>
std::size_t next_to_end(const std::deque<Place>& replicas) {
  std::size_t chosen = replicas.size();
  SimTime end = kNever;
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    if (step_end_of(replicas[i]) < end) {
      end = step_end_of(replicas[i]);
      chosen = i;
    }
  }
  return chosen;
}

/// When the first step of all others ends; kNever when none runs.
template <class Place>
SimTime next_end_beside(const std::deque<Place>& replicas, std::size_t chosen) {
  SimTime end = kNever;
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    if (i != chosen) end = std::min(end, step_end_of(replicas[i]));
  }
  return end;
}

}  // namespace moeplan
