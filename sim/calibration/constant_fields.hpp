// Names and bounds of the constants of each kernel form: what a fit may move, and how a profile spells them.
#pragma once

#include <array>
#include <span>

#include "calibration/kernel_forms.hpp"

namespace moeplan {

template <class Constants>
struct ConstantField {
  const char* name;
  double Constants::*member;
  double low, high;  ///< bounds of the fit; equal for constants that are chosen, not fitted
};

std::span<const ConstantField<GemmConstants>> fields_of(const GemmConstants&);
std::span<const ConstantField<MoeConstants>> fields_of(const MoeConstants&);
std::span<const ConstantField<DecodeConstants>> fields_of(const DecodeConstants&);
std::span<const ConstantField<PrefillConstants>> fields_of(const PrefillConstants&);
std::span<const ConstantField<ExchangeConstants>> fields_of(const ExchangeConstants&);
std::span<const ConstantField<CollectiveConstants>> fields_of(const CollectiveConstants&);

}  // namespace moeplan
