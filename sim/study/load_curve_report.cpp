#include "study/load_curve_report.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

namespace moeplan {

using nlohmann::json;

json load_points_json(const LoadCurve& curve) {
  const auto or_null = [](const std::optional<double>& value) { return value ? json(*value) : json(); };
  json out = json::array();
  for (const LoadPoint& p : curve.points) {
    out.push_back({{"offered_per_s", p.offered_per_s},
                   {"requests_per_s", p.requests_per_s},
                   {"output_tokens_per_s", p.output_tokens_per_s},
                   {"ttft_p50_s", p.ttft_p50_s},
                   {"ttft_p99_s", p.ttft_p99_s},
                   {"tpot_p50_s", or_null(p.tpot_p50_s)},
                   {"tpot_p99_s", or_null(p.tpot_p99_s)},
                   {"e2e_mean_s", p.e2e_mean_s},
                   {"gpu_busy", p.busy},
                   {"saturated", p.saturated},
                   {"within_objectives", p.within_objectives}});
  }
  return out;
}

json knee_json(const LoadCurve& curve) {
  return {{"offered_per_s", curve.knee_per_s},
          {"saturation_requests_per_s", curve.saturation_requests_per_s},
          {"saturation_output_tokens_per_s", curve.saturation_output_tokens_per_s},
          {"capacity_per_s", curve.capacity_per_s}};
}

std::string load_curve_text(const LoadCurve& curve) {
  std::string text = fmt::format("load curve\n  {:>11} {:>11} {:>10} {:>10} {:>10} {:>10}  {}\n", "requests/s", "out tok/s", "TTFT p50",
                                 "TTFT p99", "TPOT p50", "TPOT p99", "busy");
  const auto ms = [](const std::optional<double>& s) { return s ? fmt::format("{:.1f} ms", *s * 1e3) : std::string("-"); };
  for (const LoadPoint& p : curve.points) {
    text += fmt::format("  {:>11.3g} {:>11.0f} {:>10} {:>10} {:>10} {:>10}  {:.0f} %{}\n", p.offered_per_s, p.output_tokens_per_s,
                        ms(p.ttft_p50_s), ms(p.ttft_p99_s), ms(p.tpot_p50_s), ms(p.tpot_p99_s), p.busy * 100,
                        p.saturated                                    ? "  saturated"
                        : curve.has_objectives && !p.within_objectives ? "  misses objectives"
                                                                       : "");
  }
  text += fmt::format("  saturates at {:.3g} requests/s, {:.0f} output tokens/s; knee at {:.3g} requests/s; ",
                      curve.saturation_requests_per_s, curve.saturation_output_tokens_per_s, curve.knee_per_s);
  return text + fmt::format("{} up to {:.3g} requests/s\n", curve.has_objectives ? "meets the latency objectives" : "not saturated",
                            curve.capacity_per_s);
}

}  // namespace moeplan
