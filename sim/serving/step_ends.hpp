// Which replica's step ends next: what both run loops, of one pool and of two, go by when completions matter outside.
#pragma once

#include <algorithm>
#include <deque>

#include "serving/replica.hpp"

namespace moeplan {

/// The replica whose step ends next, the first of them; past the end when none runs a step.
inline std::size_t next_to_end(const std::deque<Replica>& replicas) {
  std::size_t chosen = replicas.size();
  SimTime end = kNever;
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    if (replicas[i].step_end() < end) {
      end = replicas[i].step_end();
      chosen = i;
    }
  }
  return chosen;
}

/// When the first step of all others ends; kNever when none runs.
inline SimTime next_end_beside(const std::deque<Replica>& replicas, std::size_t chosen) {
  SimTime end = kNever;
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    if (i != chosen) end = std::min(end, replicas[i].step_end());
  }
  return end;
}

}  // namespace moeplan
