// What the prefix caches of all replicas did together, and how they differ.
#pragma once

#include <algorithm>

#include "serving/observer.hpp"

namespace moeplan {

class KvReuseMetrics final : public Observer {
 public:
  void on_replica_end(const ReplicaReport& replica) override {
    if (replica.kv_reuse == nullptr) return;
    const KvReuseReport& r = *replica.kv_reuse;
    if (r.prompt_tokens > 0) {
      const double rate = static_cast<double>(r.hit_tokens) / static_cast<double>(r.prompt_tokens);
      lowest_ = std::min(lowest_, rate);
      highest_ = std::max(highest_, rate);
    }
    any_ = true;
    total_ += r;
  }
  /// Whether any replica has a prefix cache.
  [[nodiscard]] bool any() const { return any_; }
  [[nodiscard]] const KvReuseReport& total() const { return total_; }
  /// Share of prompt tokens found, over replicas that computed any prompt.
  [[nodiscard]] double lowest() const { return std::min(lowest_, highest_); }
  [[nodiscard]] double highest() const { return highest_; }

 private:
  bool any_ = false;
  double lowest_ = 1;
  double highest_ = 0;
  KvReuseReport total_;
};

}  // namespace moeplan
