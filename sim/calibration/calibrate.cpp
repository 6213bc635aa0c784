#include "calibration/calibrate.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <functional>

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

/// Queues a fit per kernel; results land in slots fixed beforehand, whatever the order of execution.
template <class Operation>
void queue_fits(const std::vector<KernelRows<Operation>>& sets, const KernelDevice& device, CostProfile& profile,
                std::vector<std::function<void()>>& jobs) {
  auto& slots = profile.of<Operation>();
  slots.resize(sets.size());
  for (std::size_t i = 0; i < sets.size(); ++i) {
    jobs.push_back([&slots, &sets, i, &device] { slots[i] = fit_kernel(sets[i], device); });
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
  KernelDevice device = make_kernel_device(gpu);
  if (const std::filesystem::path provenance = measured / "provenance.json"; std::filesystem::exists(provenance)) {
    const JsonDocument document = load_json(provenance);
    profile.in_engine = JsonReader(document).boolean("in_engine", false);
    // Operands that rotated over more memory than the caches hold were cold in every row: there is no warm share to fit.
    if (JsonReader(document).boolean("cold_operands", false)) device.l2_bytes = 0;
  }
  profile.elementwise_bandwidth = elementwise_share(measured, device);
  std::vector<std::function<void()>> jobs;
  MeasuredTables tables;
  std::apply([&](auto&... sets) { (read_into(sets, measured), ...); }, tables);
  std::apply([&](auto&... sets) { (queue_fits(sets, device, profile, jobs), ...); }, tables);
  if (jobs.empty()) throw InputError(measured.string(), "no measured kernels: expected gemm.csv, moe.csv, attention_decode.csv, ...");
  tbb::parallel_for(std::size_t{0}, jobs.size(), [&](std::size_t i) { jobs[i](); });
  return profile;
}

}  // namespace moeplan
