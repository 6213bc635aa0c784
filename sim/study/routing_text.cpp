#include "study/routing_text.hpp"

#include <fmt/core.h>

#include <filesystem>

namespace moeplan {

namespace {

std::string popularity_text(const Popularity& r) {
  switch (r.popularity) {
    case PopularityKind::kUniform: return "uniform";
    case PopularityKind::kLognormal: return fmt::format("lognormal, sigma {}", r.sigma);
    case PopularityKind::kZipf: return fmt::format("zipf, exponent {}", r.exponent);
    case PopularityKind::kDirichlet: return fmt::format("dirichlet, alpha {}", r.alpha);
    case PopularityKind::kPowerLaw: return fmt::format("power law, exponent {}", r.exponent);
    case PopularityKind::kRecorded: return (r.recorded.tokens ? "tokens recorded in " : "recorded in ") + std::filesystem::path(r.recorded.source).filename().string();
  }
  return {};
}

std::string described(const Popularity& popularity) {
  std::string text = popularity_text(popularity);
  if (popularity.noise > 0) text += fmt::format(", noise {}", popularity.noise);
  if (popularity.collapsed > 0) text += fmt::format(", {:.0f} % of the experts collapsed", popularity.collapsed * 100);
  return text;
}

}  // namespace

std::string routing_text(const RoutingConfig& routing) {
  std::string text = routing.domains.empty() ? described(routing) : "";
  for (const RoutingDomain& domain : routing.domains) {
    text += fmt::format("{}{} {:.0f} % {}", text.empty() ? "" : "; ", domain.name, domain.decode_share * 100, described(domain.popularity));
  }
  if (routing.drift.on()) {
    text += fmt::format(", changing every {} s with correlation {}", to_seconds(routing.drift.period).value(), routing.drift.correlation);
  }
  if (routing.capacity_factor > 0) {
    text += fmt::format(", capacity factor {} ({})", routing.capacity_factor, routing.overflow == Overflow::kDrop ? "drop" : "reroute");
  }
  if (!routing.source.empty()) text += " (" + routing.source + ")";
  return text;
}

}  // namespace moeplan
