// Leaves a whole GPU out: what it would be predicted to take without its own tables, against its own rows.
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "calibration/calibrate.hpp"
#include "calibration/describe_shape.hpp"
#include "calibration/error_summary.hpp"
#include "calibration/fit_kernel.hpp"
#include "calibration/kernel_choice.hpp"
#include "calibration/kernel_costs.hpp"

namespace moeplan {
namespace {

constexpr std::size_t kWorstRows = 5;

KernelTime time_of(const KernelCosts& costs, const Sample<GemmOperation>& row) { return costs.gemm(row.shape); }
KernelTime time_of(const KernelCosts& costs, const Sample<MoeOperation>& row) {
  MoeShape shape = row.shape;
  shape.load_cv = row.load_cv;
  return costs.moe(shape);
}
KernelTime time_of(const KernelCosts& costs, const Sample<DecodeOperation>& row) { return costs.decode_attention(row.shape); }
KernelTime time_of(const KernelCosts& costs, const Sample<PrefillOperation>& row) { return costs.prefill_attention(row.shape); }
KernelTime time_of(const KernelCosts& costs, const Sample<MlaDecodeOperation>& row) { return costs.mla_decode(row.shape); }
KernelTime time_of(const KernelCosts& costs, const Sample<MlaPrefillOperation>& row) { return costs.mla_prefill(row.shape); }
KernelTime time_of(const KernelCosts& costs, const Sample<CollectiveOperation>& row) { return costs.collective(row.shape); }
KernelTime time_of(const KernelCosts& costs, const Sample<ExchangeOperation>& row) { return costs.expert_exchange(row.shape); }

template <class Operation>
std::vector<Choice<Operation>> choices_of(const CostProfile& profile, const KernelDevice& device, const KernelKey& key) {
  return choose_kernels(profile.of<Operation>(), device, key.format, {key.engine()});
}
template <>
std::vector<Choice<ExchangeOperation>> choices_of(const CostProfile& profile, const KernelDevice&, const KernelKey& key) {
  return choose_exchanges(profile.of<ExchangeOperation>(), key.variant);
}
template <>
std::vector<Choice<CollectiveOperation>> choices_of(const CostProfile& profile, const KernelDevice&, const KernelKey& key) {
  return choose_collectives(profile.of<CollectiveOperation>(), key.variant, key.engine() != "nccl", {key.engine()});
}

/// The profile that a kernel would be predicted from: where a relative has this very kernel, no other of the same format and purpose.
template <class Operation>
CostProfile narrowed(const CostProfile& without, const KernelKey& key) {
  CostProfile profile = without;
  auto& kernels = profile.of<Operation>();
  const auto purpose = [&](const auto& k) { return k.key.variant == key.variant && k.key.format == key.format; };
  const auto same = [&](const auto& k) { return purpose(k) && k.key.engine() == key.engine() && k.key.kernel == key.kernel; };
  if (std::any_of(kernels.begin(), kernels.end(), same)) std::erase_if(kernels, [&](const auto& k) { return purpose(k) && !same(k); });
  return profile;
}

template <class Operation>
std::string sources(const std::vector<Choice<Operation>>& choices) {
  std::string names;
  for (const auto& choice : choices) {
    if (names.find(choice.kernel->from) == std::string::npos) names += (names.empty() ? "" : ", ") + choice.kernel->from;
  }
  return names.empty() ? "datasheet" : names;
}

template <class Operation>
ErrorLine leave_out(const FittedKernel<Operation>& own, const KernelRows<Operation>& set, const CostProfile& without, const GpuSpec& gpu) {
  ErrorLine line = error_line(own);
  line.left_out = "device";
  line.form = line.table = {};
  line.worst.clear();
  const KernelDevice device = make_kernel_device(gpu);
  const CostProfile profile = narrowed<Operation>(without, own.key);
  line.from = sources(choices_of<Operation>(profile, device, own.key));
  if (std::is_same_v<Operation, MoeOperation> && own.key.of_no_engine()) return line;
  const bool in_graph = own.key.engine() != "nccl";
  const KernelCosts costs = KernelCosts::from_profile(gpu, profile, {own.key.engine()}, {own.key.engine()});
  std::vector<double> errors;
  std::vector<std::pair<double, WorstRow>> worst;
  for (const auto* row : judged_rows(own.constants, set, device)) {
    Sample<Operation> asked = *row;
    if constexpr (requires { asked.shape.in_graph; }) asked.shape.in_graph = in_graph;
    const double us = time_of(costs, asked).seconds * 1e6;
    errors.push_back(us / row->us - 1);
    worst.emplace_back(std::abs(std::log(us / row->us)), WorstRow{describe(row->shape), row->us, five_digits(us)});
  }
  line.table = summarise(std::move(errors));
  std::stable_sort(worst.begin(), worst.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (std::size_t i = 0; i < std::min(kWorstRows, worst.size()); ++i) line.worst.push_back(worst[i].second);
  return line;
}

template <class Operation>
void append(const CostProfile& own, const CostProfile& without, const GpuSpec& gpu, const std::filesystem::path& measured, std::vector<ErrorLine>& lines) {
  const auto sets = read_measured<Operation>(measured);
  std::vector<ErrorLine> added(sets.size());
  tbb::parallel_for(std::size_t{0}, sets.size(), [&](std::size_t i) {
    const auto& kernels = own.of<Operation>();
    const auto fitted = std::find_if(kernels.begin(), kernels.end(), [&](const auto& k) { return k.from.empty() && k.key == sets[i].key; });
    added[i] = leave_out(*fitted, sets[i], without, gpu);
  });
  lines.insert(lines.end(), added.begin(), added.end());
}

}  // namespace

std::vector<ErrorLine> left_out_errors(const CostProfile& own, const GpuSpec& gpu, const std::filesystem::path& measured,
                                       const std::filesystem::path& hardware_profiles) {
  CostProfile without;
  without.gpu = gpu.id;
  add_transferred(without, gpu, hardware_profiles);
  std::vector<ErrorLine> lines;
  append<GemmOperation>(own, without, gpu, measured, lines);
  append<MoeOperation>(own, without, gpu, measured, lines);
  append<DecodeOperation>(own, without, gpu, measured, lines);
  append<PrefillOperation>(own, without, gpu, measured, lines);
  append<MlaDecodeOperation>(own, without, gpu, measured, lines);
  append<MlaPrefillOperation>(own, without, gpu, measured, lines);
  append<CollectiveOperation>(own, without, gpu, measured, lines);
  append<ExchangeOperation>(own, without, gpu, measured, lines);
  return lines;
}

}  // namespace moeplan
