// From measured rows to a cost profile: robust fits of the kernel forms, residual tables, errors on whole shapes left out; and constants of
// relatives for what was not measured.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "calibration/cost_profile.hpp"
#include "hardware/gpu_spec.hpp"

namespace moeplan {

/// Fits every table in `measured` (a folder such as hardware_profiles/measured/h100-sxm). Fits run in parallel; the result depends on the
/// rows alone. Throws InputError when the folder has none of the tables, or a row is malformed.
CostProfile calibrate(const std::filesystem::path& measured, const GpuSpec& gpu);

/// GPUs whose constants come nearest to those of `gpu`, best first (same chip, then same architecture, then same kind of memory);
/// empty when nothing measured is comparable.
std::vector<std::string> relatives_of(const std::string& gpu);

/// Adds to `profile` what its relatives measured and it did not: constants, with residuals from siblings of one chip family only,
/// marked with their origin and with the error that constants of the relative's own relatives show on the relative's rows (a device left out; for a
/// `gpu` of another chip family than the relative, by a relative of another family).
/// Reads gpus/, measured/ and fitted/ below `hardware_profiles`; relatives without a fitted profile are skipped.
void add_transferred(CostProfile& profile, const GpuSpec& gpu, const std::filesystem::path& hardware_profiles);

/// What `moeplan calibrate` writes: calibrate(measured, gpu) when the folder exists, then add_transferred.
/// Throws InputError when the GPU is neither measured nor has relatives.
CostProfile make_profile(const GpuSpec& gpu, const std::filesystem::path& measured, const std::filesystem::path& hardware_profiles);

/// What predictions of a measured GPU would be off by, on its own rows, if nobody had measured it: constants of its relatives, kernels chosen as for
/// any GPU without tables. `own` is its calibrated profile. One line per measured kernel, `from` names whose constants predicted ("datasheet": nobody's);
/// no errors where they stand for something else (products without the rest of an expert layer).
std::vector<ErrorLine> left_out_errors(const CostProfile& own, const GpuSpec& gpu, const std::filesystem::path& measured,
                                       const std::filesystem::path& hardware_profiles);

}  // namespace moeplan
