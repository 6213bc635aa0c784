// A load curve as JSON and as text.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "study/load_curve.hpp"

namespace moeplan {

/// The points as an array of objects: reports/schema/result.schema.json.
nlohmann::json load_points_json(const LoadCurve& curve);
/// Saturation, knee and capacity.
nlohmann::json knee_json(const LoadCurve& curve);
/// One line per point, and what they show.
std::string load_curve_text(const LoadCurve& curve);

}  // namespace moeplan
