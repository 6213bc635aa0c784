// Speculative decoding of all replicas together.
#pragma once

#include "serving/observer.hpp"

namespace moeplan {

class SpeculationMetrics final : public Observer {
 public:
  void on_replica_end(const ReplicaReport& replica) override {
    if (replica.speculation == nullptr) return;
    any_ = true;
    total_ += *replica.speculation;
  }
  /// Whether any replica speculates.
  [[nodiscard]] bool any() const { return any_; }
  [[nodiscard]] const SpeculationReport& total() const { return total_; }

 private:
  bool any_ = false;
  SpeculationReport total_;
};

}  // namespace moeplan
