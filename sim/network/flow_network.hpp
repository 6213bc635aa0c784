// Bulk transfers in simulated time over links that they share with each other and with the collectives of running replicas: KV hand-offs,
// weights, moved experts. A transfer is a flow over a shortest path; its rate changes only when the set of transfers or of active loads does.
//
// A replica's collectives are no flows of their own. They are a *load*: the links they use, the rate they reach alone while they communicate
// (burst), and their mean rate, computation in between included. Transfers and other loads meet a load at its mean rate; what the load itself gets
// while it communicates, against all others at their means, gives its slow-down. Left out: latency (a transfer's caller adds it), slow start.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/units.hpp"
#include "network/max_min.hpp"
#include "network/path_table.hpp"

namespace moeplan {

using TransferId = std::uint64_t;
using LoadId = std::int32_t;

/// One run's network. Times passed in must not go back. Not for several threads at once.
class FlowNetwork {
 public:
  /// REQUIRES: the topology outlives it.
  explicit FlowNetwork(const Topology& topology);
  /// With more links behind the topology's, of these capacities in bytes/s: disks, a store.
  FlowNetwork(const Topology& topology, const std::vector<double>& more);

  // --- bulk transfers

  /// Starts a transfer of `bytes` > 0 from one GPU to another at `now`, at most `limit` bytes/s. From a GPU to itself it ends at once.
  TransferId start(SimTime now, int from, int to, Bytes bytes, double limit = kUnlimited);
  /// The same from a GPU to its host's memory and back.
  TransferId start_to_host(SimTime now, int gpu, Bytes bytes, double limit = kUnlimited);
  TransferId start_from_host(SimTime now, int gpu, Bytes bytes, double limit = kUnlimited);
  /// The same over links of the caller's choice, which must stay valid until it ends.
  TransferId start(SimTime now, std::span<const LinkUse> path, Bytes bytes, double limit = kUnlimited);
  /// Ends a transfer early; false when it has ended.
  bool cancel(SimTime now, TransferId id);

  /// When the next transfer ends if nothing else happens; kNever without one. Rounded up to whole nanoseconds.
  [[nodiscard]] SimTime next_completion();
  /// Moves the clock; appends transfers that have ended by `now` to `ended`, in the order of their starts. REQUIRES: now <= next_completion(), so that
  /// nobody's rate changes unseen.
  void advance(SimTime now, std::vector<TransferId>& ended);
  /// Current rate, bytes/s; REQUIRES: running.
  [[nodiscard]] double rate(TransferId id);
  [[nodiscard]] std::size_t transfers() const { return running_.size(); }
  /// Transfers over these links now, for those who want to know whether they are alone.
  [[nodiscard]] SimTime now() const { return now_; }

  // --- collectives of replicas

  /// A load over `links` (copied), inactive at first. Loads are numbered from 0.
  LoadId add_load(std::vector<LinkUse> links);
  /// Rates in bytes/s of the load's unit. Cheap when nothing changes. REQUIRES: 0 <= mean <= burst.
  void set_load(SimTime now, LoadId id, bool active, double mean, double burst);
  /// How many times longer the load's communication takes than alone; exactly 1 when no link of it is used by anybody else.
  [[nodiscard]] double slowdown(LoadId id);

  [[nodiscard]] PathTable& paths() { return paths_; }
  /// Solves so far, for tests and benchmarks.
  [[nodiscard]] std::uint64_t solves() const { return solves_; }

  static constexpr double kUnlimited = std::numeric_limits<double>::infinity();

 private:
  struct Transfer {
    std::span<const LinkUse> path;
    double limit = kUnlimited;
    double left = 0;  ///< bytes at now_
    double rate = 0;
  };
  struct Load {
    std::vector<LinkUse> links;
    bool active = false;
    double mean = 0, burst = 0;
    std::optional<double> slowdown;  ///< nothing: to be solved again
  };

  void settle(SimTime now);
  void changed();
  void rate_transfers();
  void count(std::span<const LinkUse> path, int by);
  [[nodiscard]] bool alone(std::span<const LinkUse> path, int own) const;
  [[nodiscard]] double rate_of_load(const Load& subject, bool alone);

  PathTable paths_;
  MaxMinSolver solver_;
  SimTime now_{0};
  TransferId next_id_ = 1;
  std::map<TransferId, Transfer> running_;
  std::vector<Load> loads_;
  std::vector<std::int32_t> users_;  ///< by link: transfers and active loads on it
  bool rated_ = true;
  std::uint64_t solves_ = 0;
  std::vector<FlowDemand> demands_;
};

}  // namespace moeplan
