#include "calibration/calibrate.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "calibration/fit_kernel.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"

namespace moeplan {
namespace {

using MeasuredTables =
    std::tuple<std::vector<KernelRows<GemmOperation>>, std::vector<KernelRows<MoeOperation>>, std::vector<KernelRows<DecodeOperation>>,
               std::vector<KernelRows<PrefillOperation>>, std::vector<KernelRows<MlaDecodeOperation>>,
               std::vector<KernelRows<MlaPrefillOperation>>, std::vector<KernelRows<CollectiveOperation>>,
               std::vector<KernelRows<ExchangeOperation>>>;

template <class Operation>
void read_into(std::vector<KernelRows<Operation>>& sets, const std::filesystem::path& folder) {
  sets = read_measured<Operation>(folder);
}

/// Frameworks of which provenance.json states a property: all ("key": true) or those listed.
class Stated {
 public:
  Stated() = default;
  Stated(const JsonReader& provenance, const std::string& key) {
    if (!provenance.has(key)) return;
    const JsonReader value = provenance.at(key);
    if (value.value().is_boolean()) all_ = value.value().get<bool>();
    else if (value.value().is_array()) frameworks_ = provenance.strings(key);
    else value.fail("found " + value.value().dump() + ", accepted: true, false or an array of frameworks");
  }
  /// Listed as "cublas", "cublas-13.1.0" or, as rows have it, "cublas-13.1.0/lt".
  [[nodiscard]] bool of(const KernelKey& key) const {
    return all_ || std::any_of(frameworks_.begin(), frameworks_.end(), [&](const std::string& f) {
      return f == key.framework || f == key.engine() || f == key.framework + "/" + key.kernel;
    });
  }

 private:
  bool all_ = false;
  std::vector<std::string> frameworks_;
};

struct Provenance {
  bool in_engine = false;
  Stated cold_operands, sustained;
};

Provenance provenance_of(const std::filesystem::path& measured) {
  const std::filesystem::path file = measured / "provenance.json";
  if (!std::filesystem::exists(file)) return {};
  const JsonDocument document = load_json(file);
  const JsonReader json(document);
  return {json.boolean("in_engine", false), Stated(json, "cold_operands"), Stated(json, "sustained")};
}

/// Queues a fit per kernel; results land in slots fixed beforehand, whatever the order of execution.
template <class Operation>
void queue_fits(const std::vector<KernelRows<Operation>>& sets, const KernelDevice& device, const Provenance& provenance, CostProfile& profile,
                std::vector<std::function<void()>>& jobs) {
  auto& slots = profile.of<Operation>();
  slots.resize(sets.size());
  for (std::size_t i = 0; i < sets.size(); ++i) {
    jobs.push_back([&, i] {
      KernelDevice seen = device;
      // Operands that rotated over more memory than the caches hold were cold in every row: there is no warm share to fit.
      if (provenance.cold_operands.of(sets[i].key)) seen.l2_bytes = 0;
      slots[i] = fit_kernel(sets[i], seen);
      slots[i].sustained = provenance.sustained.of(sets[i].key);
    });
  }
}

/// Median share of the bandwidth, 0 without rows.
double elementwise_share(const std::filesystem::path& measured, const KernelDevice& device) {
  std::vector<double> shares;
  for (const ElementwiseRow& row : read_elementwise(measured)) shares.push_back(row.bytes / (row.us * device.bandwidth));
  if (shares.empty()) return 0;
  const auto middle = shares.begin() + static_cast<std::ptrdiff_t>(shares.size() / 2);
  std::nth_element(shares.begin(), middle, shares.end());
  return *middle;
}

}  // namespace

CostProfile calibrate(const std::filesystem::path& measured, const GpuSpec& gpu) {
  CostProfile profile;
  profile.gpu = gpu.id;
  const KernelDevice device = make_kernel_device(gpu);
  const Provenance provenance = provenance_of(measured);
  profile.in_engine = provenance.in_engine;
  profile.elementwise_bandwidth = elementwise_share(measured, device);
  std::vector<std::function<void()>> jobs;
  MeasuredTables tables;
  std::apply([&](auto&... sets) { (read_into(sets, measured), ...); }, tables);
  std::apply([&](auto&... sets) { (queue_fits(sets, device, provenance, profile, jobs), ...); }, tables);
  if (jobs.empty()) throw InputError(measured.string(), "no measured kernels: expected gemm.csv, moe.csv, attention_decode.csv, ...");
  tbb::parallel_for(std::size_t{0}, jobs.size(), [&](std::size_t i) { jobs[i](); });
  return profile;
}

}  // namespace moeplan
