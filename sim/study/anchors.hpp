// Anchors: measured points of one deployment that correct its engine's constants. What catalogue and kernels cannot know of a deployment (host,
// driver, kernel versions, clocks) is four numbers: host time per step, per running sequence and per new prompt, and a multiplier on kernel times.
//
// Least squares of logarithmic errors with a prior at "no correction", by Gauss-Newton on simulated derivatives:
//   sum (ln(predicted / measured) / 0.05)^2 + (step / 1 ms)^2 + (sequence / 20 us)^2 + (prompt / 5 ms)^2 + (ln multiplier / 0.15)^2 -> min
// The prior's widths are the spread between deployments of one engine, 0.05 that of repeated measurements and of what four numbers cannot
// explain. One anchor moves what it can; two at different concurrencies tell host from kernel time.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hardware/engine_profile.hpp"
#include "study/measured_run.hpp"

namespace moeplan {

/// Corrections of one deployment from measured points of its own.
struct EngineCorrection {
  double host_per_step_s = 0;      ///< added to the engine's host time per step
  double host_per_sequence_s = 0;  ///< added per running sequence
  double kernel_multiplier = 1;    ///< on kernel times; no kernel gets faster than the roofline of the GPU's datasheet
  double host_per_prompt_s = 0;    ///< added to the step that computes a prompt's last token
};

/// Applies a correction. REQUIRES: no host time below zero in total.
void correct_engine(EngineProfile& engine, const EngineCorrection& correction);

/// Anchors that lie further apart than this at one operating point, or from their own fit, contradict each other.
inline constexpr double kAnchorTolerance = 0.25;

struct AnchorPoint {
  std::string id;
  RunMetric metric = RunMetric::kTpot;
  double measured = 0, before = 0, after = 0;  ///< milliseconds, or tokens per second
};

struct AnchorFit {
  std::string layout;  ///< MeasuredRun::anchor_key
  EngineCorrection correction;
  std::vector<AnchorPoint> points;
  std::vector<std::string> contradictions;  ///< one line each, naming the rows; empty: none

  /// Of all points, as a share of what was measured.
  [[nodiscard]] double largest_error_before() const { return largest_error(&AnchorPoint::before); }
  [[nodiscard]] double largest_error_after() const { return largest_error(&AnchorPoint::after); }

 private:
  [[nodiscard]] double largest_error(double AnchorPoint::* predicted) const;
};

/// What a run anchors: its TPOT, else ITL, else output throughput; nothing when it states none of them.
std::optional<RunMetric> anchor_metric(const MeasuredRun& run);

/// Predicted anchor metrics of all anchors under a correction, in their order.
using AnchorPredictor = std::function<std::vector<double>(const EngineCorrection&)>;

/// Fits. `engine` is the uncorrected one and bounds the host times from below; the multiplier stays within 0.5 and 2. Calls `predict` about
/// nine times. REQUIRES: not empty, every anchor has an anchor_metric.
AnchorFit fit_anchors(std::span<const MeasuredRun> anchors, const EngineProfile& engine, const AnchorPredictor& predict);

/// The `count` anchors of one layout, as indices into `runs`: lowest and highest concurrency in turn, ties by mode, isl, osl, id; suspect rows and rows
/// that state nothing to fit never. Fewer when there are not as many.
std::vector<std::size_t> choose_anchors(const std::vector<MeasuredRun>& runs, const std::vector<std::size_t>& layout, std::size_t count);

/// "host +0.31 ms per step, -2.0 us per sequence, +1.2 ms per prompt, kernels x 1.08".
std::string correction_text(const EngineCorrection& correction);
/// One line per anchor, at most eight: metric, measured, before and after the fit.
std::string anchor_points_text(const AnchorFit& fit);
/// The fit as a JSON object: `layout`, `rows` [{`id`, `metric`, `measured`, `before`, `after`, `error_before`, `error_after`}], `host_per_step_s`,
/// `host_per_sequence_s`, `host_per_prompt_s`, `kernel_multiplier`, `contradictions`.
std::string anchor_fit_json(const AnchorFit& fit);

}  // namespace moeplan
