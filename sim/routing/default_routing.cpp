#include "routing/routing_config.hpp"

namespace moeplan {
namespace {

/// Fitted to the tokens of DeepSeek-V2-Lite in text order, see scenarios/routing/README.md.
constexpr RoutingLocality kMeasuredLocality{0.35, 1.4, 64, 0.6};

RoutingConfig lognormal(double sigma, std::string source) {
  RoutingConfig config;
  config.popularity = PopularityKind::kLognormal;
  config.sigma = sigma;
  config.locality = kMeasuredLocality;
  config.source = std::move(source);
  return config;
}

}  // namespace

RoutingLocality measured_locality() { return kMeasuredLocality; }

RoutingConfig default_routing(const std::string& family, const MoeSpec& moe) {
  if (moe.soft_routing) {
    RoutingConfig config;
    config.source = "soft routing: every expert gets every token";
    return config;
  }
  if (moe.experts <= 16) {
    const std::string source = "expert counts of Mixtral-8x7B on 5 corpora (allenai/OLMoE, layers 0, 7, 15): median sigma 0.13";
    return lognormal(0.13, family == "mixtral" ? source : source + "; nearest measured model");
  }
  if (family == "deepseek" && moe.experts >= 128) {
    return lognormal(1.07,
                     "rank imbalance 2.56 of DeepSeek-R1 at EP32 without balancing (TensorRT-LLM, examples/wide_ep/ep_load_balancer)");
  }
  if (family == "olmoe")
    return lognormal(0.57, "expert counts of OLMoE-1B-7B SFT and DPO on Tulu (allenai/OLMoE, layers 0, 7, 15): median sigma 0.57");
  const std::string source = "per-token choices of DeepSeek-V2-Lite, four tasks pooled (deepseek-ai/ESFT): median sigma 0.51";
  return lognormal(0.51, family == "deepseek" ? source : source + "; nearest measured model");
}

}  // namespace moeplan
