#include "calibration/residual_table.hpp"

#include <algorithm>
#include <cmath>

namespace moeplan {
namespace {

constexpr std::size_t kNeighbours = 4;
constexpr double kOffset = 0.05;
constexpr double kSame = 1e-6;

double squared_distance(const ShapeCoordinates& a, const ShapeCoordinates& b) {
  double sum = 0;
  for (std::size_t i = 0; i < kShapeAxes; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

struct Along {
  double residual = 0;
  bool inside = false;
  bool on_point = false;
};

Along along(const ResidualLine& line, double x) {
  const auto& xs = line.inner;
  if (x <= xs.front()) return {line.residual.front(), x >= xs.front() - kSame, x >= xs.front() - kSame};
  if (x >= xs.back()) return {line.residual.back(), x <= xs.back() + kSame, x <= xs.back() + kSame};
  const auto next = static_cast<std::size_t>(std::upper_bound(xs.begin(), xs.end(), x) - xs.begin());
  const double share = (x - xs[next - 1]) / (xs[next] - xs[next - 1]);
  const double residual = line.residual[next - 1] + share * (line.residual[next] - line.residual[next - 1]);
  return {residual, true, share < kSame || share > 1 - kSame};
}

Along inside_shape(const ResidualShape& shape, GridPoint point) {
  const auto& lines = shape.lines;
  if (lines.size() == 1 || point.outer <= lines.front().outer) {
    Along only = along(lines.front(), point.inner);
    const bool here = std::abs(point.outer - lines.front().outer) < kSame;
    return {only.residual, only.inside && here, only.on_point && here};
  }
  if (point.outer >= lines.back().outer) {
    Along last = along(lines.back(), point.inner);
    const bool here = point.outer <= lines.back().outer + kSame;
    return {last.residual, last.inside && here, last.on_point && here};
  }
  std::size_t next = 1;
  while (lines[next].outer <= point.outer) ++next;
  const double share = (point.outer - lines[next - 1].outer) / (lines[next].outer - lines[next - 1].outer);
  const Along a = along(lines[next - 1], point.inner);
  if (share < kSame) return a;
  const Along b = along(lines[next], point.inner);
  return {a.residual + share * (b.residual - a.residual), a.inside || b.inside, false};
}

}  // namespace

void ResidualTable::add(const ShapeCoordinates& shape, GridPoint point, double residual) {
  auto found = std::find_if(shapes_.begin(), shapes_.end(), [&](const ResidualShape& s) { return squared_distance(s.at, shape) < kSame * kSame; });
  if (found == shapes_.end()) found = shapes_.insert(shapes_.end(), ResidualShape{shape, {}});
  auto line = std::find_if(found->lines.begin(), found->lines.end(),
                           [&](const ResidualLine& l) { return std::abs(l.outer - point.outer) < kSame; });
  if (line == found->lines.end()) line = found->lines.insert(found->lines.end(), ResidualLine{point.outer, {}, {}});
  line->inner.push_back(point.inner);
  line->residual.push_back(residual);
}

void ResidualTable::finish() {
  places_.clear();
  for (const ResidualShape& shape : shapes_) places_.push_back(shape.at);
  for (ResidualShape& shape : shapes_) {
    std::sort(shape.lines.begin(), shape.lines.end(), [](const auto& a, const auto& b) { return a.outer < b.outer; });
    for (ResidualLine& line : shape.lines) {
      std::vector<std::pair<double, double>> points;
      for (std::size_t i = 0; i < line.inner.size(); ++i) points.emplace_back(line.inner[i], line.residual[i]);
      std::sort(points.begin(), points.end());
      line.inner.clear();
      line.residual.clear();
      for (std::size_t i = 0; i < points.size();) {
        double sum = 0;
        std::size_t end = i;
        for (; end < points.size() && points[end].first < points[i].first + kSame; ++end) sum += points[end].second;
        line.inner.push_back(points[i].first);
        line.residual.push_back(sum / static_cast<double>(end - i));
        i = end;
      }
    }
  }
}

ResidualAnswer ResidualTable::at(const ShapeCoordinates& shape, GridPoint point) const {
  if (shapes_.empty()) return {};
  std::array<double, kNeighbours> best{};
  std::array<std::size_t, kNeighbours> who{};
  std::size_t found = 0;
  for (std::size_t candidate = 0; candidate < places_.size(); ++candidate) {
    const double d = squared_distance(places_[candidate], shape);
    if (found == kNeighbours && d >= best[kNeighbours - 1]) continue;
    if (d < kSame * kSame) {
      const Along own = inside_shape(shapes_[candidate], point);
      return {own.residual, 0, own.inside, own.on_point};
    }
    std::size_t place = found < kNeighbours ? found++ : kNeighbours - 1;
    for (; place > 0 && best[place - 1] > d; --place) {
      best[place] = best[place - 1];
      who[place] = who[place - 1];
    }
    best[place] = d;
    who[place] = candidate;
  }
  for (std::size_t i = 0; i < found; ++i) best[i] = std::sqrt(best[i]);
  const Along nearest = inside_shape(shapes_[who[0]], point);
  double sum = 0, weights = 0;
  for (std::size_t i = 0; i < found; ++i) {
    const double weight = 1 / ((best[i] + kOffset) * (best[i] + kOffset));
    sum += weight * (i == 0 ? nearest.residual : inside_shape(shapes_[who[i]], point).residual);
    weights += weight;
  }
  return {sum / weights, best[0], nearest.inside, false};
}

}  // namespace moeplan
