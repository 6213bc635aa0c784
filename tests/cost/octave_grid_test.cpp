#include "cost/octave_grid.hpp"

#include <doctest/doctest.h>

using moeplan::OctaveGrid;

TEST_CASE("a grid has whole numbers first and then equal steps within each octave") {
  const OctaveGrid grid(2, 100);
  // 0..3, then steps of 1 (4..7), 2 (8..14), 4 (16..28), 8 (32..56), 16 (64..112)
  const double expected[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112};
  REQUIRE(grid.nodes() == 24);
  for (std::uint32_t i = 0; i < grid.nodes(); ++i) CHECK(grid.value(i) == expected[i]);
}

TEST_CASE("every number lies between its node and the next, at its blend") {
  const OctaveGrid grid(3, 1e6);
  for (double x = 0; x < 1e6; x = x * 1.37 + 0.25) {
    const OctaveGrid::Position at = grid.find(x);
    REQUIRE(at.index + 1 < grid.nodes());
    CHECK(at.blend >= 0);
    CHECK(at.blend < 1);
    const double low = grid.value(at.index);
    CHECK(low + (grid.value(at.index + 1) - low) * at.blend == doctest::Approx(x).epsilon(1e-12));
  }
}

TEST_CASE("beyond the grid the last two nodes are continued") {
  const OctaveGrid grid(1, 8);
  // nodes 0 1 2 3 4 6 8 12
  const OctaveGrid::Position at = grid.find(20);
  CHECK(at.index == 6);
  CHECK(at.blend == doctest::Approx(3.0));  // 8 + 3 x 4
}
