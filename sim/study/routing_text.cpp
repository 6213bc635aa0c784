#include "study/routing_text.hpp"

#include <fmt/core.h>

#include <filesystem>

namespace moeplan {

namespace {

std::string popularity_text(const RoutingConfig& r) {
  switch (r.popularity) {
    case PopularityKind::kUniform: return "uniform";
    case PopularityKind::kLognormal: return fmt::format("lognormal, sigma {}", r.sigma);
    case PopularityKind::kZipf: return fmt::format("zipf, exponent {}", r.exponent);
    case PopularityKind::kDirichlet: return fmt::format("dirichlet, alpha {}", r.alpha);
    case PopularityKind::kPowerLaw: return fmt::format("power law, exponent {}", r.exponent);
    case PopularityKind::kRecorded: return "recorded in " + std::filesystem::path(r.recorded.source).filename().string();
  }
  return {};
}

}  // namespace

std::string routing_text(const RoutingConfig& routing) {
  std::string text = popularity_text(routing);
  if (routing.noise > 0) text += fmt::format(", noise {}", routing.noise);
  if (routing.collapsed > 0) text += fmt::format(", {:.0f} % of the experts collapsed", routing.collapsed * 100);
  if (!routing.source.empty()) text += " (" + routing.source + ")";
  return text;
}

}  // namespace moeplan
