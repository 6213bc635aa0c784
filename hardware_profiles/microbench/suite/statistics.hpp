// From repeated timings to one row: median, its confidence interval, spread and outliers. No distribution is assumed.
#pragma once

#include <string>
#include <vector>

namespace moeplan::bench {

/// One timing; `disturbed`: the operating system took the processor away meanwhile.
struct Sample {
  double seconds = 0;
  bool disturbed = false;
};

struct Summary {
  double median = 0;      ///< seconds, of the undisturbed samples (of all, when fewer than three are undisturbed)
  double fastest = 0;     ///< seconds
  double ci95 = 0;        ///< half width of the 95 % confidence interval of the median, as a share of it (order statistics)
  double spread = 0;      ///< interquartile range over median
  int runs = 0;           ///< samples that the median rests on
  int outliers = 0;       ///< of these, further than 5 scaled median absolute deviations from the median; they are kept
  int disturbed = 0;      ///< samples during which the processor was taken away
  bool rests_on_disturbed = false;  ///< too few were undisturbed: the median is of all
};

/// REQUIRES: samples not empty.
Summary summarise(const std::vector<Sample>& samples);

/// "" when the interval is within `target`; else "unstable"; "disturbed" when the median rests on disturbed samples.
std::string mark_of(const Summary& summary, double target);

}  // namespace moeplan::bench
