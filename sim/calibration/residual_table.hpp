// What a fitted form leaves over, per measured shape: ln(measured / form) along one or two axes (tokens; batch and length), interpolated over
// the logarithms of the axes and between the nearest shapes. Held constant beyond the ends of an axis, so that extrapolation is the form's.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace moeplan {

inline constexpr std::size_t kShapeAxes = 5;
/// Where a shape lies: logarithms (base 2) of its dimensions, weighted; unused axes are 0.
using ShapeCoordinates = std::array<double, kShapeAxes>;

/// Where a row lies on its shape's axes, as logarithms (base 2).
struct GridPoint {
  double outer = 0;
  double inner = 0;
};

struct ResidualLine {
  double outer = 0;             ///< logarithm
  std::vector<double> inner;    ///< logarithms, ascending
  std::vector<double> residual; ///< natural logarithm of measured / form
};

struct ResidualShape {
  ShapeCoordinates at{};
  std::vector<ResidualLine> lines;  ///< ascending outer
};

/// Octaves within which a shape counts as between measured ones.
inline constexpr double kNearOctaves = 1.5;

struct ResidualAnswer {
  double residual = 0;  ///< ln(measured / form); 0 without a table
  double distance = std::numeric_limits<double>::infinity();  ///< to the nearest shape, in octaves
  bool inside = false;  ///< the point lies within the axes of the nearest shape
  bool on_point = false;///< the nearest shape was measured at this very point

  /// What a prediction takes of it: far from any measured shape a residual fades, there the form speaks alone.
  [[nodiscard]] double faded() const { return distance <= kNearOctaves ? residual : residual * kNearOctaves / distance; }
};

class ResidualTable {
 public:
  /// Adds a row; rows of one shape and point are averaged.
  void add(const ShapeCoordinates& shape, GridPoint point, double residual);
  /// Sorts the axes; call after the last add or change of shapes().
  void finish();
  [[nodiscard]] bool empty() const { return shapes_.empty(); }
  [[nodiscard]] const std::vector<ResidualShape>& shapes() const { return shapes_; }
  [[nodiscard]] std::vector<ResidualShape>& shapes() { return shapes_; }
  /// Residual at `point` of a shape: the shape's own line when measured, else the nearest shapes weighted by 1/(distance + 0.05)^2.
  [[nodiscard]] ResidualAnswer at(const ShapeCoordinates& shape, GridPoint point) const;

 private:
  std::vector<ResidualShape> shapes_;
  std::vector<ShapeCoordinates> places_;  // of the shapes, side by side for the search
};

}  // namespace moeplan
