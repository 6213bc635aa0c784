#include "calibration/residual_table.hpp"

#include <doctest/doctest.h>

using namespace moeplan;

namespace {

/// Two shapes two octaves apart; residual rises from 0 to 0.4 over four octaves on the first, is -0.2 on the second.
ResidualTable two_shapes() {
  ResidualTable table;
  table.add({10, 0, 0, 0, 0}, {0, 4}, 0.4);
  table.add({10, 0, 0, 0, 0}, {0, 0}, 0.0);
  table.add({12, 0, 0, 0, 0}, {0, 0}, -0.2);
  table.add({12, 0, 0, 0, 0}, {0, 4}, -0.2);
  table.finish();
  return table;
}

}  // namespace

TEST_CASE("on a measured shape the residual is that of its own rows, interpolated over the logarithm") {
  const ResidualTable table = two_shapes();
  const ResidualAnswer middle = table.at({10, 0, 0, 0, 0}, {0, 1});
  CHECK(middle.residual == doctest::Approx(0.1));
  CHECK(middle.distance == 0);
  CHECK(middle.inside);
  CHECK_FALSE(middle.on_point);
  CHECK(table.at({10, 0, 0, 0, 0}, {0, 4}).on_point);
}

TEST_CASE("beyond the ends of an axis the residual stays and is no longer inside") {
  const ResidualAnswer beyond = two_shapes().at({10, 0, 0, 0, 0}, {0, 9});
  CHECK(beyond.residual == doctest::Approx(0.4));
  CHECK_FALSE(beyond.inside);
}

TEST_CASE("three octaves from the nearest shape half of a residual is taken, within an octave and a half all of it") {
  const ResidualTable table = two_shapes();
  CHECK(table.at({15, 0, 0, 0, 0}, {0, 0}).faded() == doctest::Approx(table.at({15, 0, 0, 0, 0}, {0, 0}).residual / 2));
  CHECK(table.at({13, 0, 0, 0, 0}, {0, 0}).faded() == table.at({13, 0, 0, 0, 0}, {0, 0}).residual);
  CHECK(ResidualTable{}.at({1, 0, 0, 0, 0}, {0, 0}).faded() == 0);
}

TEST_CASE("between shapes the nearest weigh by the inverse square of their distance") {
  // Distances 0.95 and 1.05; with the offset 0.05 the weights are 1 and 1/1.21. At the upper end: (0.4 - 0.2/1.21) / (1 + 1/1.21).
  const ResidualAnswer between = two_shapes().at({10.95, 0, 0, 0, 0}, {0, 4});
  CHECK(between.residual == doctest::Approx((0.4 - 0.2 / 1.21) / (1 + 1 / 1.21)));
  CHECK(between.distance == doctest::Approx(0.95));
}

TEST_CASE("two axes interpolate between lines, each on its own grid") {
  ResidualTable table;
  table.add({1, 0, 0, 0, 0}, {0, 0}, 0.0);
  table.add({1, 0, 0, 0, 0}, {0, 2}, 0.2);
  table.add({1, 0, 0, 0, 0}, {4, 1}, 0.5);
  table.finish();
  // Line 0 at inner 1: 0.1; line 4 has one point, 0.5; a quarter of the way: 0.2.
  CHECK(table.at({1, 0, 0, 0, 0}, {1, 1}).residual == doctest::Approx(0.2));
}

TEST_CASE("rows of one point are averaged and an empty table answers nothing") {
  ResidualTable table;
  table.add({1, 0, 0, 0, 0}, {0, 3}, 0.1);
  table.add({1, 0, 0, 0, 0}, {0, 3}, 0.3);
  table.finish();
  CHECK(table.at({1, 0, 0, 0, 0}, {0, 3}).residual == doctest::Approx(0.2));
  CHECK(ResidualTable{}.at({}, {}).residual == 0);
}
