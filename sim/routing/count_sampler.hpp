// Many tokens at once: draws the counts of a layer's experts without drawing the tokens, in time independent of their number.
//
// Method. A Gaussian copula with binomial marginals: one standard normal per expert, made negatively correlated as the choices of one token
// are (Hajek's covariance of a fixed-size sample, so that the scores carry no fluctuation of the sum), mapped to the binomial quantile
// (Cornish-Fisher where the mean is at least 4, else by inversion). The few pairs that rounding leaves over or short of tokens x top_k are
// given to or taken from experts drawn by popularity. Neighbouring tokens: the counts of the uncopied choices are drawn so, and the copies
// are spread over them with the variance that the correlation along the prompt implies.
#pragma once

#include <cstdint>
#include <span>

#include "base/random.hpp"
#include "routing/choice.hpp"
#include "routing/token_sampler.hpp"

namespace moeplan {

/// Writes the experts' counts of `tokens` tokens; they sum to tokens x top_k.
void sample_counts(const RouterChoice& choice, const LocalityTables* locality, std::int64_t tokens, RandomStream& random,
                   std::span<std::int32_t> counts);

/// Quantile of the standard normal at u in (0, 1) (Acklam's rational approximation, relative error 1.2e-9).
double normal_quantile(double u);

}  // namespace moeplan
