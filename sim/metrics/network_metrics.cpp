#include "metrics/network_metrics.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.hpp"

namespace moeplan {

NetworkMetrics::NetworkMetrics(std::vector<GroupLinks> groups) : groups_(std::move(groups)), replicas_(groups_.size()), sent_(groups_.size()) {}

std::size_t NetworkMetrics::add_sender(std::vector<LinkUse> links) {
  groups_.push_back({{}, std::move(links)});
  sent_.emplace_back();
  return groups_.size() - 1;
}

void NetworkMetrics::on_step(const StepRecord& step) {
  const PreparedStep& prepared = *step.prepared;
  const StepOutcome& outcome = *step.outcome;
  CommunicationTime& kind = kinds_[prepared.pure_decode ? 1 : 0];
  const auto part = [&](StepPart p) { return prepared.fixed_parts[static_cast<std::size_t>(p)]; };
  ++kind.steps;
  kind.step_seconds += outcome.seconds;
  kind.exposed += part(StepPart::kAllReduce) + part(StepPart::kAllToAll) + part(StepPart::kPipeline) + outcome.all_to_all_seconds +
                  outcome.contention_seconds - outcome.hidden_seconds;
  kind.hidden += outcome.hidden_seconds;
  kind.contention += outcome.contention_seconds;
  offload_.bytes += outcome.offload_bytes;
  offload_.seconds += outcome.offload_seconds;
  offload_.lookups += outcome.expert_lookups;
  offload_.hits += outcome.expert_hits;
  Traffic traffic = prepared.fixed_traffic;
  traffic.add(outcome.draw_traffic, 1.0);
  card_seconds_ += traffic.scale_out_seconds;
  const auto replica = static_cast<std::size_t>(step.replica);
  if (replica < replicas_) spread(replica, step.start, step.end, {traffic.scale_up_bytes, traffic.scale_out_bytes});
}

void NetworkMetrics::spread(std::size_t sender, SimTime begin, SimTime end, Bytes bytes) {
  while (end.count() / stretch_ns_ >= static_cast<std::int64_t>(kStretches)) widen();
  std::vector<Bytes>& sent = sent_[sender];
  const std::int64_t first = begin.count() / stretch_ns_;
  const std::int64_t last = std::max(first, (end.count() - 1) / stretch_ns_);
  if (sent.size() <= static_cast<std::size_t>(last)) sent.resize(static_cast<std::size_t>(last) + 1);
  const double duration = static_cast<double>(std::max<std::int64_t>(1, (end - begin).count()));
  for (std::int64_t s = first; s <= last; ++s) {
    const std::int64_t from = std::max(begin.count(), s * stretch_ns_);
    const std::int64_t to = std::min(end.count(), (s + 1) * stretch_ns_);
    const double share = first == last ? 1.0 : static_cast<double>(to - from) / duration;
    sent[static_cast<std::size_t>(s)].inside += bytes.inside * share;
    sent[static_cast<std::size_t>(s)].between += bytes.between * share;
  }
}

void NetworkMetrics::widen() {
  stretch_ns_ *= 2;
  for (std::vector<Bytes>& sent : sent_) {
    for (std::size_t s = 0; s < sent.size(); s += 2) {
      Bytes sum = sent[s];
      if (s + 1 < sent.size()) {
        sum.inside += sent[s + 1].inside;
        sum.between += sent[s + 1].between;
      }
      sent[s / 2] = sum;
    }
    sent.resize((sent.size() + 1) / 2);
  }
}

std::vector<LinkUtilisation> NetworkMetrics::busiest(const Topology& topology, std::size_t most) const {
  if (end_.count() <= 0) return {};
  const auto stretches = static_cast<std::size_t>((end_.count() - 1) / stretch_ns_ + 1);
  std::map<std::int32_t, std::vector<double>> loads;
  const auto add = [&](const std::vector<LinkUse>& uses, std::size_t replica, double Bytes::*kind) {
    for (const LinkUse& use : uses) {
      std::vector<double>& load = loads.try_emplace(use.link, stretches, 0.0).first->second;
      const std::size_t count = std::min(stretches, sent_[replica].size());
      for (std::size_t s = 0; s < count; ++s) load[s] += sent_[replica][s].*kind * use.share;
    }
  };
  for (std::size_t r = 0; r < groups_.size(); ++r) {
    add(groups_[r].inside, r, &Bytes::inside);
    add(groups_[r].between, r, &Bytes::between);
  }
  std::vector<LinkUtilisation> out;
  for (auto& [link, load] : loads) {
    const double capacity = topology.links()[static_cast<std::size_t>(link)].capacity.value();
    double sum = 0;
    for (const double bytes : load) sum += bytes;
    if (!(sum > 0) || !(capacity > 0)) continue;
    const double full = capacity * static_cast<double>(stretch_ns_) * 1e-9;
    std::sort(load.begin(), load.end());
    const auto at = [&](double q) { return load[static_cast<std::size_t>(std::ceil(q * static_cast<double>(load.size()))) - 1] / full; };
    out.push_back({link, sum / (capacity * to_seconds(end_).value()), at(0.5), at(0.99)});
  }
  std::stable_sort(out.begin(), out.end(), [](const LinkUtilisation& a, const LinkUtilisation& b) { return a.mean > b.mean; });
  if (out.size() > most) out.resize(most);
  return out;
}

}  // namespace moeplan
