// Where a fit starts and what undetermined constants fall back to: the generic constants of the operation and format.
#pragma once

#include "calibration/measured_rows.hpp"

namespace moeplan {

GemmConstants prior_of(const KernelDevice& device, const KernelKey& key, const GemmOperation&);
MoeConstants prior_of(const KernelDevice& device, const KernelKey& key, const MoeOperation&);
DecodeConstants prior_of(const KernelDevice& device, const KernelKey& key, const DecodeOperation&);
DecodeConstants prior_of(const KernelDevice& device, const KernelKey& key, const MlaDecodeOperation&);
PrefillConstants prior_of(const KernelDevice& device, const KernelKey& key, const PrefillOperation&);
PrefillConstants prior_of(const KernelDevice& device, const KernelKey& key, const MlaPrefillOperation&);
CollectiveConstants prior_of(const KernelDevice& device, const KernelKey& key, const CollectiveOperation&);
ExchangeConstants prior_of(const KernelDevice& device, const KernelKey& key, const ExchangeOperation&);

/// Constants that are chosen among a few values rather than fitted: head padding of MLA decode, row tile of prefill.
template <class Constants>
std::vector<Constants> choices_of(const Constants& c) {
  return {c};
}
std::vector<DecodeConstants> choices_of(const DecodeConstants& c);
std::vector<PrefillConstants> choices_of(const PrefillConstants& c);

}  // namespace moeplan
