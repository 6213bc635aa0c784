#include "study/plan_words.hpp"

#include <fmt/core.h>

namespace moeplan {

std::string counted(int count, const std::string& what) { return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"); }

std::string watts_text(double watts) { return watts < 1000 ? fmt::format("{:.0f} W", watts) : fmt::format("{:.1f} kW", watts / 1e3); }

std::string share_text(double share) {
  if (share >= 0.0095) return fmt::format("{:.0f} %", share * 100);
  return share >= 0.001 ? fmt::format("{:.1f} %", share * 100) : "less than 0.1 %";
}

std::string layout_text(const ParallelLayout& l) {
  std::string text = fmt::format("tensor {}", l.tensor);
  if (l.pipeline > 1) text += fmt::format(", pipeline {}", l.pipeline);
  if (l.attention_data > 1) text += fmt::format(", attention data {}", l.attention_data);
  if (l.expert > 1) text += fmt::format(", expert {}", l.expert);
  return text;
}

}  // namespace moeplan
