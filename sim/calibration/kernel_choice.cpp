#include "calibration/kernel_choice.hpp"

#include <algorithm>
#include <functional>

namespace moeplan {
namespace {

/// Formats whose kernels resemble those of `format` on this device, nearest first.
std::vector<Precision> related_formats(const KernelDevice& device, Precision format) {
  using enum Precision;
  if (!device.quantises(format)) {
    if (format == kBf16) return {};
    return {kBf16};
  }
  switch (format) {
    case kFp8: return {kFp8Block, kBf16};
    case kFp8Block: return {kFp8, kBf16};
    case kInt8: return {kFp8, kFp8Block, kBf16};
    case kNvfp4: return {kMxfp4, kFp8Block, kFp8, kBf16};
    case kMxfp4: return {kNvfp4, kFp8Block, kFp8, kBf16};
    default: return {kBf16};
  }
}

/// 16 bit products of weights in a smaller format: any engine's 16 bit kernel is as good a guess as another.
bool weight_only(const KernelDevice& device, Precision format) {
  return !device.quantises(format) && bytes_per_weight(format) < 1.9;
}

/// Key-value caches: no kernel distinguishes the eight bit formats.
bool eight_bit(Precision p) { return p == Precision::kFp8 || p == Precision::kFp8Block; }

/// Engines call a library for dense products; experts are an engine's own routing and reduction around its products.
template <class Operation>
constexpr bool kWrapped = std::is_same_v<Operation, MoeOperation>;

/// The suite's own attention has no tensor cores: engines' is several times faster, and generic fractions of the datasheet are nearer to it.
template <class Operation>
constexpr bool kLibrariesAreFaster = std::is_same_v<Operation, DecodeOperation> || std::is_same_v<Operation, PrefillOperation> || std::is_same_v<Operation, MlaDecodeOperation> ||
                                     std::is_same_v<Operation, MlaPrefillOperation>;

template <class Operation>
using Choices = std::vector<Choice<Operation>>;

template <class Operation>
Choices<Operation> filtered(const std::vector<FittedKernel<Operation>>& kernels, Precision format, Origin best,
                            const std::function<bool(const FittedKernel<Operation>&)>& wanted) {
  Choices<Operation> choices;
  for (const auto& k : kernels) {
    if (k.key.format == format && !(kLibrariesAreFaster<Operation> && k.key.of_suite()) && wanted(k)) choices.push_back({&k, true, k.from.empty() ? best : std::max(best, Origin::kTransferred)});
  }
  return choices;
}

/// The first engine of the preference, else all others; measured here before transferred. `borrowed`: another engine's kernels stood in.
template <class Operation>
Choices<Operation> by_engine(const std::vector<FittedKernel<Operation>>& kernels, Precision format, const std::vector<std::string>& preference,
                             Origin other_engine, bool& borrowed) {
  using Kernel = FittedKernel<Operation>;
  borrowed = false;
  for (const bool from_sibling : {false, true}) {
    for (const std::string& engine : preference) {
      auto own = filtered<Operation>(kernels, format, Origin::kMeasured, [&](const Kernel& k) {
        return k.key.engine() == engine && !(kWrapped<Operation> && k.key.of_no_engine()) && (from_sibling ? !k.from.empty() && !k.table.empty() : k.from.empty());
      });
      if (!own.empty()) return own;
    }
  }
  borrowed = true;
  auto others = filtered<Operation>(kernels, format, other_engine, [](const Kernel& k) { return k.from.empty() && !k.key.of_no_engine(); });
  if (others.empty()) others = filtered<Operation>(kernels, format, other_engine, [](const Kernel& k) { return k.from.empty(); });
  if (std::is_same_v<Operation, MoeOperation> && !others.empty() &&
      std::all_of(others.begin(), others.end(), [](const auto& choice) { return choice.kernel->key.of_no_engine(); })) {
    // Whole experts of a relative: constants without residuals, of which the fastest is as good a guess as the engine's own.
    auto whole = filtered<Operation>(kernels, format, Origin::kTransferred, [](const Kernel& k) { return !k.from.empty(); });
    if (!whole.empty()) return whole;
    // An engine's kernel of a related format is nearer.
    if (std::any_of(kernels.begin(), kernels.end(), [](const Kernel& k) { return !k.key.of_no_engine(); })) return {};
  }
  if (!others.empty()) return others;
  for (const std::string& engine : preference) {
    auto relative = filtered<Operation>(kernels, format, Origin::kTransferred, [&](const Kernel& k) { return k.key.engine() == engine; });
    borrowed = relative.empty();
    if (!borrowed) return relative;
  }
  return filtered<Operation>(kernels, format, Origin::kTransferred, [](const Kernel&) { return true; });
}

/// Dense products in 16 bit are the vendor library's, whatever the engine; every other kernel is the engine's own.
template <class Operation>
Origin trust_in_others(Precision) { return Origin::kTransferred; }
template <>
Origin trust_in_others<GemmOperation>(Precision format) {
  return bytes_per_weight(format) > 1.9 ? Origin::kMeasured : Origin::kTransferred;
}

/// Whether another engine's kernels of this format compete with the 16 bit kernel at this format's peak and bytes. Block-scaled products rescale
/// their sums every 128 terms and quantise their inputs in a kernel of its own under every engine, except where tensor cores apply the scales.
template <class Operation>
bool competes_with_wide(const KernelDevice&, Precision) { return false; }
template <>
bool competes_with_wide<GemmOperation>(const KernelDevice& device, Precision format) {
  return format == Precision::kFp8 || (format == Precision::kFp8Block && device.transforms_block_scales);
}
template <>
bool competes_with_wide<DecodeOperation>(const KernelDevice&, Precision format) { return eight_bit(format); }

/// Experts with one scale per tensor, measured with block scales only: those kernels rescale their sums every 128 terms, which costs most where
/// arithmetic bounds. The 16 bit kernel at this format's peak and bytes does not; neither table fits, the faster form counts.
template <class Operation>
bool without_block_scales(Precision, Precision) { return false; }
template <>
bool without_block_scales<MoeOperation>(Precision format, Precision related) { return format == Precision::kFp8 && related == Precision::kFp8Block; }

template <class Operation>
void add_wide(Choices<Operation>& choices, const std::vector<FittedKernel<Operation>>& kernels, const std::vector<std::string>& preference) {
  bool borrowed = false;
  for (auto& wide : by_engine(kernels, Precision::kBf16, preference, Origin::kTransferred, borrowed)) {
    if (!borrowed) choices.push_back({wide.kernel, false, Origin::kTransferred});
  }
  for (auto& choice : choices) choice.with_table = false;
}

template <class Operation>
constexpr bool kTablesSuitWeightOnly = !std::is_same_v<Operation, MoeOperation>;

}  // namespace

template <class Operation>
std::vector<Choice<Operation>> choose_kernels(const std::vector<FittedKernel<Operation>>& kernels, const KernelDevice& device, Precision format,
                                              const std::vector<std::string>& preference) {
  bool borrowed = false;
  auto choices = by_engine(kernels, format, preference, trust_in_others<Operation>(format), borrowed);
  if (!choices.empty()) {
    if (std::is_same_v<Operation, GemmOperation> && format == Precision::kFp8Block && device.transforms_block_scales && !borrowed) {
      for (const auto& row_scaled : by_engine(kernels, Precision::kFp8, preference, Origin::kTransferred, borrowed)) {
        if (!borrowed) choices.push_back(row_scaled);
      }
      return choices;
    }
    if (!borrowed || !competes_with_wide<Operation>(device, format)) return choices;
    for (auto wide : by_engine(kernels, Precision::kBf16, preference, Origin::kTransferred, borrowed)) {
      wide.best = std::max(wide.best, Origin::kTransferred);
      choices.push_back(wide);
    }
    return choices;
  }
  for (const Precision related : related_formats(device, format)) {
    const bool any_engine = weight_only(device, format);
    choices = by_engine(kernels, related, any_engine ? std::vector<std::string>{} : preference, Origin::kTransferred, borrowed);
    if (choices.empty()) continue;
    const bool same_width = std::abs(bytes_per_weight(related) - bytes_per_weight(format)) < 0.1;
    for (auto& choice : choices) {
      if (format != Precision::kFp16) choice.best = std::max(choice.best, Origin::kTransferred);
      choice.with_table = same_width || kTablesSuitWeightOnly<Operation>;
    }
    if (without_block_scales<Operation>(format, related)) add_wide(choices, kernels, preference);
    return choices;
  }
  return {};
}

template std::vector<Choice<GemmOperation>> choose_kernels(const std::vector<FittedKernel<GemmOperation>>&, const KernelDevice&, Precision,
                                                           const std::vector<std::string>&);
template std::vector<Choice<MoeOperation>> choose_kernels(const std::vector<FittedKernel<MoeOperation>>&, const KernelDevice&, Precision,
                                                          const std::vector<std::string>&);
template std::vector<Choice<DecodeOperation>> choose_kernels(const std::vector<FittedKernel<DecodeOperation>>&, const KernelDevice&, Precision,
                                                             const std::vector<std::string>&);
template std::vector<Choice<PrefillOperation>> choose_kernels(const std::vector<FittedKernel<PrefillOperation>>&, const KernelDevice&, Precision,
                                                              const std::vector<std::string>&);
template std::vector<Choice<MlaDecodeOperation>> choose_kernels(const std::vector<FittedKernel<MlaDecodeOperation>>&, const KernelDevice&, Precision,
                                                                const std::vector<std::string>&);
template std::vector<Choice<MlaPrefillOperation>> choose_kernels(const std::vector<FittedKernel<MlaPrefillOperation>>&, const KernelDevice&,
                                                                 Precision, const std::vector<std::string>&);

std::vector<Choice<CollectiveOperation>> choose_collectives(const std::vector<FittedKernel<CollectiveOperation>>& kernels, const std::string& variant,
                                                            bool in_graph, const std::vector<std::string>& engines) {
  std::vector<Choice<CollectiveOperation>> choices;
  const auto take = [&](const std::string& engine) {
    bool found = false;
    for (const bool measured : {true, false}) {
      for (const auto& k : kernels) {
        if (found || k.key.variant != variant || k.key.engine() != engine || k.from.empty() != measured) continue;
        choices.push_back({&k, true, measured ? Origin::kMeasured : Origin::kTransferred});
        found = true;
      }
    }
    return found;
  };
  take("nccl");
  if (!in_graph) return choices;
  bool own = engines == std::vector<std::string>{"nccl"};
  for (const std::string& engine : engines) own |= engine != "nccl" && take(engine);
  if (own) return choices;
  for (const auto& k : kernels) {
    if (k.key.variant == variant && k.key.engine() != "nccl") choices.push_back({&k, true, Origin::kTransferred});
  }
  return choices;
}

std::vector<Choice<ExchangeOperation>> choose_exchanges(const std::vector<FittedKernel<ExchangeOperation>>& kernels, const std::string& variant) {
  const FittedKernel<ExchangeOperation>* best = nullptr;
  for (const auto& k : kernels) {
    if (k.key.variant != variant) continue;
    const bool better = !best || (k.from.empty() && !best->from.empty()) || (k.from.empty() == best->from.empty() && k.rows > best->rows);
    if (better) best = &k;
  }
  if (!best) return {};
  return {{best, true, best->from.empty() ? Origin::kMeasured : Origin::kTransferred}};
}

}  // namespace moeplan
