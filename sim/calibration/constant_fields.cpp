#include "calibration/constant_fields.hpp"

namespace moeplan {
namespace {

constexpr std::array<ConstantField<GemmConstants>, 9> kGemm{{{"t0_us", &GemmConstants::t0, 0.5, 60},
                                                             {"tk_us", &GemmConstants::tk, 0.01, 10},
                                                             {"ec", &GemmConstants::ec, 0.02, 1},
                                                             {"eb", &GemmConstants::eb, 0.05, 1},
                                                             {"p", &GemmConstants::p, 1, 12},
                                                             {"k_half", &GemmConstants::k_half, 1, 3000},
                                                             {"eq", &GemmConstants::eq, 0.02, 6},
                                                             {"l2_gain", &GemmConstants::l2_gain, 1, 8},
                                                             {"l2_frac", &GemmConstants::l2_frac, 0.03, 1}}};

constexpr std::array<ConstantField<MoeConstants>, 12> kMoe{{{"t0_us", &MoeConstants::t0, 1, 120},
                                                            {"tk_us", &MoeConstants::tk, 0.01, 12},
                                                            {"ec", &MoeConstants::ec, 0.02, 1},
                                                            {"eb", &MoeConstants::eb, 0.05, 1},
                                                            {"p", &MoeConstants::p, 1, 12},
                                                            {"il_half", &MoeConstants::il_half, 0.5, 5000},
                                                            {"act", &MoeConstants::act, 0.02, 8},
                                                            {"nonlocal", &MoeConstants::nonlocal, 0.005, 10},
                                                            {"l2_gain", &MoeConstants::l2_gain, 1, 6},
                                                            {"l2_frac", &MoeConstants::l2_frac, 0.1, 1.2},
                                                            {"tile_cap", &MoeConstants::tile_cap, 64, 64},
                                                            {"skew", &MoeConstants::skew, 0, 0}}};

constexpr std::array<ConstantField<DecodeConstants>, 10> kDecode{{{"t0_us", &DecodeConstants::t0, 1, 60},
                                                                  {"tl_us", &DecodeConstants::tl, 0.02, 8},
                                                                  {"ec", &DecodeConstants::ec, 0.02, 1},
                                                                  {"eb", &DecodeConstants::eb, 0.05, 1},
                                                                  {"p", &DecodeConstants::p, 1, 12},
                                                                  {"tc_us", &DecodeConstants::tc, 0.05, 40},
                                                                  {"l2_gain", &DecodeConstants::l2_gain, 1, 12},
                                                                  {"l2_frac", &DecodeConstants::l2_frac, 0.2, 1.2},
                                                                  {"head_pad", &DecodeConstants::pad, 16, 16},
                                                                  {"fp8_products", &DecodeConstants::fp8_products, 0, 0}}};

constexpr std::array<ConstantField<PrefillConstants>, 11> kPrefill{{{"t0_us", &PrefillConstants::t0, 0.5, 60},
                                                                    {"tq_us", &PrefillConstants::tq, 0.001, 10},
                                                                    {"ec", &PrefillConstants::ec, 0.02, 1},
                                                                    {"eb", &PrefillConstants::eb, 0.05, 1},
                                                                    {"p", &PrefillConstants::p, 1, 12},
                                                                    {"tc_us", &PrefillConstants::tc, 0.01, 40},
                                                                    {"d_half", &PrefillConstants::d_half, 0.5, 150},
                                                                    {"l2_gain", &PrefillConstants::l2_gain, 1, 10},
                                                                    {"l2_frac", &PrefillConstants::l2_frac, 0.2, 1.2},
                                                                    {"tile", &PrefillConstants::tile, 1, 1},
                                                                    {"fp8_products", &PrefillConstants::fp8_products, 0, 0}}};

constexpr std::array<ConstantField<ExchangeConstants>, 5> kExchange{{{"t0_us", &ExchangeConstants::t0, 1, 400},
                                                                     {"te_us", &ExchangeConstants::te, 0.001, 20},
                                                                     {"tt_us", &ExchangeConstants::tt, 0.0005, 5},
                                                                     {"eff", &ExchangeConstants::eff, 0.02, 1},
                                                                     {"p", &ExchangeConstants::p, 1, 12}}};

constexpr std::array<ConstantField<CollectiveConstants>, 5> kCollective{{{"t0_us", &CollectiveConstants::t0, 0.5, 60},
                                                                         {"t0_rank_us", &CollectiveConstants::t0_rank, 0.001, 10},
                                                                         {"t1_us", &CollectiveConstants::t1, 0.01, 40},
                                                                         {"eff", &CollectiveConstants::eff, 0.02, 1},
                                                                         {"p", &CollectiveConstants::p, 1, 12}}};

}  // namespace

std::span<const ConstantField<GemmConstants>> fields_of(const GemmConstants&) { return kGemm; }
std::span<const ConstantField<MoeConstants>> fields_of(const MoeConstants&) { return kMoe; }
std::span<const ConstantField<DecodeConstants>> fields_of(const DecodeConstants&) { return kDecode; }
std::span<const ConstantField<PrefillConstants>> fields_of(const PrefillConstants&) { return kPrefill; }
std::span<const ConstantField<ExchangeConstants>> fields_of(const ExchangeConstants&) { return kExchange; }
std::span<const ConstantField<CollectiveConstants>> fields_of(const CollectiveConstants&) { return kCollective; }

}  // namespace moeplan
