#include "study/validation_intervals.hpp"

#include <cmath>
#include <set>

#include "study/run_intervals.hpp"

namespace moeplan {

namespace {

/// Fewer rows of one metric and kind say nothing of a width.
constexpr std::size_t kLeastRows = 20;

std::string group_of(const MeasuredRun& run) { return run.model + ", " + run.gpu; }

double best_prediction(const ValidationRow& row) { return row.left_out.value_or(row.predicted); }

RowSpread spread_of(const Validation& v, const ValidationRow& row, const ErrorModel& errors) {
  const RunPrediction& p = v.predictions[row.run];
  return row_spread(row.metric, best_prediction(row), p.moe, p.evidence, p.operations, errors);
}

/// Form width of the rows of one class: first tokens or steps, dense or MoE, outside `without`.
double fitted_form(const Validation& v, bool first_token, bool moe, const std::string& without, const ErrorModel& errors, double level, double otherwise) {
  std::vector<RowSpread> spreads;
  std::vector<double> log_errors;
  for (const ValidationRow& row : v.rows) {
    if (!row.left_out || (row.metric == RunMetric::kTtft) != first_token || v.predictions[row.run].moe != moe || group_of(v.runs[row.run]) == without) continue;
    spreads.push_back(spread_of(v, row, errors));
    log_errors.push_back(std::log(row.measured / *row.left_out));
  }
  return spreads.size() < kLeastRows ? otherwise : fit_form(spreads, log_errors, level);
}

ErrorModel fitted_errors(const Validation& v, const std::string& without, ErrorModel errors, double level) {
  errors.step_dense = fitted_form(v, false, false, without, errors, level, errors.step_dense);
  errors.step_moe = fitted_form(v, false, true, without, errors, level, errors.step_moe);
  // The width of steps is part of that of first tokens: in this order.
  errors.first_token_dense = fitted_form(v, true, false, without, errors, level, errors.first_token_dense);
  errors.first_token_moe = fitted_form(v, true, true, without, errors, level, errors.first_token_moe);
  return errors;
}

LeaveOutRow leave_out_row(const Validation& v, const ValidationRow& row, const std::vector<std::vector<RunPrediction>>& shifted) {
  const MeasuredRun& run = v.runs[row.run];
  LeaveOutRow out;
  out.group = group_of(run);
  out.engine = run.engine;
  out.metric = row.metric;
  out.measured = row.measured;
  out.predicted = row.predicted;
  const auto change = [&](std::size_t step) {
    const auto moved = shifted[step][row.run].predicted[static_cast<std::size_t>(row.metric)];
    return moved ? *moved - row.predicted : 0.0;
  };
  out.slope = {change(0) / kLeaveOutSteps[0].host_per_step_s, row.metric == RunMetric::kTtft ? 1e3 : 0.0, change(1) / kLeaveOutSteps[1].host_per_sequence_s,
               change(2) / std::log(kLeaveOutSteps[2].kernel_multiplier)};
  return out;
}

}  // namespace

void add_left_out(Validation& v, const std::vector<std::vector<RunPrediction>>& shifted) {
  std::vector<LeaveOutRow> rows;
  std::map<std::string, EngineConstants> shipped;
  for (const ValidationRow& row : v.rows) {
    if (!row.scored) continue;
    rows.push_back(leave_out_row(v, row, shifted));
    shipped.emplace(v.runs[row.run].engine, v.predictions[row.run].engine);
  }
  LeftOut& out = v.left_out.emplace();
  out.fit = leave_groups_out(rows, shipped);
  std::size_t next = 0;
  for (ValidationRow& row : v.rows) {
    if (row.scored) row.left_out = out.fit.predicted[next++];
  }
  tabulate_errors(v, [](const ValidationRow& row) { return *row.left_out / row.measured - 1; }, out.metrics, out.groups);
}

void add_intervals(Validation& v, const ErrorModel& errors, double level) {
  v.level = level;
  std::map<std::string, ErrorModel> without;
  if (v.left_out) {
    v.left_out->errors = fitted_errors(v, "", errors, level);
    for (const ValidationRow& row : v.rows) {
      const std::string group = group_of(v.runs[row.run]);
      if (without.count(group) == 0) without.emplace(group, fitted_errors(v, group, errors, level));
    }
  }
  const double half = normal_half_width(level);
  for (ValidationRow& row : v.rows) {
    const auto own = without.find(group_of(v.runs[row.run]));
    const ErrorModel& model = own != without.end() ? own->second : errors;
    const RowSpread spread = spread_of(v, row, model);
    const double factor = std::exp(half * spread.total(form_of(model, spread)));
    const double middle = best_prediction(row);
    row.interval = Interval{middle / factor, middle * factor};
    if (!row.scored) continue;
    const bool inside = row.measured >= row.interval->low && row.measured <= row.interval->high;
    const std::string kind = v.predictions[row.run].moe ? "moe" : "dense";
    for (Coverage* c : {&v.coverage, &v.coverage_by_metric[std::string(to_string(row.metric))], &v.coverage_by_kind[kind],
                        &v.coverage_by_metric_kind[metric_kind(v, row)]}) {
      ++c->count;
      c->inside += inside ? 1U : 0U;
    }
  }
}

std::string metric_kind(const Validation& v, const ValidationRow& row) {
  return std::string(to_string(row.metric)) + (v.predictions[row.run].moe ? "/moe" : "/dense");
}

}  // namespace moeplan
