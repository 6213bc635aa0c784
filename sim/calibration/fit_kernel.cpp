#include "calibration/fit_kernel.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/random.hpp"
#include "calibration/describe_shape.hpp"
#include "calibration/error_summary.hpp"
#include "calibration/fit_start.hpp"
#include "calibration/log_fit.hpp"

namespace moeplan {
namespace {

constexpr std::size_t kSearchRows = 500;   // rows that choose among starts and discrete constants
constexpr std::size_t kFitRows = 2500;     // rows of the final fit: more change no digit that matters
constexpr int kFolds = 5;
constexpr double kWarmLimit = 0.10;        // a row whose form changes by more when caches are cold teaches nothing about a cold step
constexpr double kGenericSkew = 0.05;      // time added per unit of load_cv where a kernel has no balanced rows
constexpr std::size_t kWorstRows = 5;
constexpr double kKnownDraw = 64;          // tokens from which the experts touched by an unevenly loaded row are known well enough

template <class Operation>
double skew_factor(const typename Operation::Constants&, const Sample<Operation>&) { return 1; }
double skew_factor(const MoeConstants& c, const Sample<MoeOperation>& row) { return 1 + c.skew * row.load_cv; }

/// Whether the load of an unevenly loaded row is known: with few tokens the experts that the benchmark's random draw touched are a guess.
template <class Operation>
bool known_load(const Sample<Operation>&) { return true; }
template <>
bool known_load(const Sample<MoeOperation>& row) { return row.load_cv == 0 || row.shape.tokens >= kKnownDraw; }

template <class Constants>
Constants cold_or_same(const Constants& c) {
  if constexpr (requires { c.l2_gain; }) return cold(c);
  else return c;
}

template <class Operation>
constexpr const char* kLeftOut = "shape";
template <>
constexpr const char* kLeftOut<CollectiveOperation> = "message size";
template <>
constexpr const char* kLeftOut<MoeOperation> = "model";

template <class Operation>
class KernelFit {
 public:
  using Constants = typename Operation::Constants;
  using Rows = std::vector<const Sample<Operation>*>;

  KernelFit(const KernelRows<Operation>& set, const KernelDevice& device) : set_(set), device_(device) {
    result_.key = set.key;
    result_.rows = static_cast<int>(set.rows.size());
    split_rows();
  }

  FittedKernel<Operation> run() {
    result_.constants = fitted(search(), sample(fit_rows_, kFitRows));
    fit_skew();
    result_.table = table_of(result_.constants, table_rows(result_.constants, nullptr));
    cross_validate();
    return std::move(result_);
  }

 private:
  /// Experts are fitted on balanced rows where there are some: there the touched experts are known exactly.
  void split_rows() {
    for (const auto& row : set_.rows) {
      if (row.load_cv == 0) fit_rows_.push_back(&row);
      else uneven_rows_.push_back(&row);
    }
    if (fit_rows_.size() < 60) {
      fit_rows_.clear();
      uneven_rows_.clear();
      for (const auto& row : set_.rows) fit_rows_.push_back(&row);
      all_uneven_ = fit_rows_.front()->load_cv > 0;
    }
  }

  [[nodiscard]] double form(const Constants& c, const Sample<Operation>& row) const {
    return Operation::form(c, device_, row.shape) * skew_factor(c, row);
  }

  /// A deterministic pseudo-random subset: grids are regular, every n-th row would favour some sizes.
  static Rows sample(const Rows& rows, std::size_t most) {
    if (rows.size() <= most) return rows;
    std::vector<std::pair<std::uint64_t, const Sample<Operation>*>> order;
    for (const auto* row : rows) order.emplace_back(stable_hash("row " + std::to_string(row->line)), row);
    std::sort(order.begin(), order.end(),
              [](const auto& a, const auto& b) { return std::pair(a.first, a.second->line) < std::pair(b.first, b.second->line); });
    Rows chosen;
    for (std::size_t i = 0; i < most; ++i) chosen.push_back(order[i].second);
    return chosen;
  }

  LogFitResult fit_on(const Constants& start, const Rows& rows) const {
    const Constants prior = prior_of(device_, set_.key, Operation{});
    LogFitProblem problem;
    std::vector<const ConstantField<Constants>*> free;
    std::vector<double> at;
    for (const auto& field : fields_of(start)) {
      if (!(field.low < field.high)) continue;
      free.push_back(&field);
      problem.low.push_back(field.low);
      problem.high.push_back(field.high);
      problem.prior.push_back(std::max(prior.*field.member, field.low));
      at.push_back(std::max(start.*field.member, field.low));
    }
    for (const auto* row : rows) problem.log_measured.push_back(std::log(row->us));
    problem.predict = [&](std::span<const double> constants, std::span<double> out) {
      Constants c = start;
      for (std::size_t j = 0; j < free.size(); ++j) c.*(free[j]->member) = constants[j];
      for (std::size_t i = 0; i < rows.size(); ++i) out[i] = std::log(form(c, *rows[i]));
    };
    return fit_logs(problem, std::move(at));
  }

  static Constants with(Constants c, const std::vector<double>& fitted) {
    std::size_t j = 0;
    for (const auto& field : fields_of(c)) {
      if (field.low < field.high) c.*field.member = five_digits(fitted[j++]);
    }
    return c;
  }

  /// The best of several starts on a small sample.
  Constants search() const {
    Constants generic = prior_of(device_, set_.key, Operation{});
    if constexpr (requires { generic.skew; }) {
      if (all_uneven_) generic.skew = kGenericSkew;
    }
    const Rows rows = sample(fit_rows_, kSearchRows);
    Constants best = generic;
    double least = INFINITY;
    for (Constants start : choices_of(generic)) {
      for (const double p : {1.3, 2.5, 6.0}) {
        start.p = p;
        if constexpr (requires { start.l2_gain; }) {
          start.l2_gain = 2;
          start.l2_frac = 0.6;
        }
        const LogFitResult found = fit_on(start, rows);
        if (found.loss < least) {
          least = found.loss;
          best = with(start, found.constants);
        }
      }
    }
    return best;
  }

  Constants fitted(const Constants& start, const Rows& rows) const { return with(start, fit_on(start, rows).constants); }

  /// Residuals of rows that caches did not help (much); rows read warm are left to the form.
  [[nodiscard]] bool cold_row(const Constants& c, const Sample<Operation>& row) const {
    return std::abs(std::log(Operation::form(cold_or_same(c), device_, row.shape) / Operation::form(c, device_, row.shape))) < kWarmLimit;
  }

  /// Rows that fill a table: the fitted ones, and unevenly loaded ones of known load of shapes that have no other. `left_out` groups are skipped.
  Rows table_rows(const Constants& c, const std::set<std::string>* left_out) const {
    Rows rows;
    std::set<ShapeCoordinates> even;
    const auto kept = [&](const Sample<Operation>& row) { return (!left_out || !left_out->contains(row.group)) && cold_row(c, row); };
    for (const auto* row : fit_rows_) {
      even.insert(Operation::coordinates(row->shape));
      if (kept(*row)) rows.push_back(row);
    }
    for (const auto* row : uneven_rows_) {
      if (!even.contains(Operation::coordinates(row->shape)) && known_load(*row) && kept(*row)) rows.push_back(row);
    }
    return rows;
  }

  ResidualTable table_of(const Constants& c, const Rows& rows) const {
    ResidualTable table;
    for (const auto* row : rows) {
      table.add(Operation::coordinates(row->shape), Operation::point(row->shape), thousandths(std::log(row->us / form(c, *row))));
    }
    table.finish();
    for (ResidualShape& shape : table.shapes()) {
      for (ResidualLine& line : shape.lines) {
        for (double& r : line.residual) r = thousandths(r);
      }
    }
    return table;
  }

  void fit_skew() {
    if constexpr (requires { result_.constants.skew; }) {
      if (uneven_rows_.size() < 30) return;
      const ResidualTable table = table_of(result_.constants, fit_rows_);
      std::vector<double> slopes;
      for (const auto* row : uneven_rows_) {
        const ResidualAnswer answer = table.at(Operation::coordinates(row->shape), Operation::point(row->shape));
        if (answer.distance > 0.01 || row->load_cv < 0.3) continue;
        slopes.push_back((row->us / (form(result_.constants, *row) * std::exp(answer.residual)) - 1) / row->load_cv);
      }
      if (slopes.size() < 20) return;
      std::nth_element(slopes.begin(), slopes.begin() + static_cast<std::ptrdiff_t>(slopes.size() / 2), slopes.end());
      result_.constants.skew = std::max(0.0, thousandths(slopes[slopes.size() / 2]));
    }
  }

  /// Errors are judged where caches did not help, as a serving step finds its operands; decode where keys and values exceed L2.
  [[nodiscard]] bool judged(const Constants& c, const Sample<Operation>& row) const {
    if constexpr (requires { decode_kv_bytes(row.shape); }) return decode_kv_bytes(row.shape) > 1.2 * device_.l2_bytes;
    else if constexpr (requires { mla_kv_bytes(row.shape); }) return mla_kv_bytes(row.shape) > 1.2 * device_.l2_bytes;
    else return cold_row(c, row);
  }

  std::vector<std::set<std::string>> folds() {
    std::set<std::string> groups;
    for (const auto* row : fit_rows_) groups.insert(row->group);
    std::size_t count = kFolds;
    if constexpr (std::is_same_v<Operation, CollectiveOperation>) count = groups.size();
    result_.left_out = kLeftOut<Operation>;
    count = std::min(count, groups.size());
    std::vector<std::set<std::string>> folds(count);
    std::size_t i = 0;
    for (const std::string& group : groups) folds[i++ % count].insert(group);
    return folds;
  }

  void cross_validate() {
    const auto left_out = folds();
    if (left_out.size() < 2) {
      result_.left_out = "nothing (one shape)";
      in_sample();
      return;
    }
    std::vector<double> by_form, by_table;
    std::vector<std::pair<double, WorstRow>> worst;
    for (const auto& groups : left_out) {
      Rows training;
      for (const auto* row : fit_rows_) {
        if (!groups.contains(row->group)) training.push_back(row);
      }
      if (training.empty()) continue;
      const Constants c = fitted(result_.constants, sample(training, kFitRows));
      const ResidualTable table = table_of(c, table_rows(c, &groups));
      for (const auto* row : fit_rows_) {
        if (!groups.contains(row->group) || !judged(result_.constants, *row)) continue;
        judge(c, table, *row, by_form, by_table, worst);
      }
    }
    store(by_form, by_table, worst);
  }

  void in_sample() {
    std::vector<double> by_form, by_table;
    std::vector<std::pair<double, WorstRow>> worst;
    for (const auto* row : fit_rows_) {
      if (judged(result_.constants, *row)) judge(result_.constants, ResidualTable{}, *row, by_form, by_table, worst);
    }
    store(by_form, by_table, worst);
  }

  void judge(const Constants& c, const ResidualTable& table, const Sample<Operation>& row, std::vector<double>& by_form,
             std::vector<double>& by_table, std::vector<std::pair<double, WorstRow>>& worst) const {
    const double bound = Operation::roofline(device_, row.shape);
    const double alone = form(c, row);
    const double plain = std::max(bound, alone);
    const double full = std::max(bound, alone * std::exp(table.at(Operation::coordinates(row.shape), Operation::point(row.shape)).faded()));
    by_form.push_back(plain / row.us - 1);
    by_table.push_back(full / row.us - 1);
    worst.emplace_back(std::abs(std::log(full / row.us)), WorstRow{describe(row.shape), row.us, five_digits(full)});
  }

  void store(const std::vector<double>& by_form, const std::vector<double>& by_table, std::vector<std::pair<double, WorstRow>>& worst) {
    result_.form_error = summarise(by_form);
    result_.table_error = summarise(by_table);
    std::stable_sort(worst.begin(), worst.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    for (std::size_t i = 0; i < std::min(kWorstRows, worst.size()); ++i) result_.worst.push_back(worst[i].second);
  }

 public:
  static Rows judged_rows(const Constants& c, const KernelRows<Operation>& set, const KernelDevice& device) {
    const KernelFit fit(set, device);
    Rows rows;
    std::copy_if(fit.fit_rows_.begin(), fit.fit_rows_.end(), std::back_inserter(rows), [&](const auto* row) { return fit.judged(c, *row); });
    return rows;
  }

  static ErrorSummary error_of(const Constants& c, const ResidualTable& table, const KernelRows<Operation>& set,
                               const KernelDevice& device) {
    KernelFit fit(set, device);
    std::vector<double> by_form, by_table;
    std::vector<std::pair<double, WorstRow>> worst;
    for (const auto* row : fit.fit_rows_) {
      if (fit.judged(c, *row)) fit.judge(c, table, *row, by_form, by_table, worst);
    }
    return summarise(by_table);
  }

 private:
  const KernelRows<Operation>& set_;
  const KernelDevice& device_;
  Rows fit_rows_, uneven_rows_;
  bool all_uneven_ = false;
  FittedKernel<Operation> result_;
};

}  // namespace

template <class Operation>
FittedKernel<Operation> fit_kernel(const KernelRows<Operation>& set, const KernelDevice& device) {
  MOEPLAN_CHECK(!set.rows.empty());
  return KernelFit<Operation>(set, device).run();
}

template <class Operation>
ErrorSummary error_of(const typename Operation::Constants& constants, const ResidualTable& table, const KernelRows<Operation>& set,
                      const KernelDevice& device) {
  return KernelFit<Operation>::error_of(constants, table, set, device);
}

template <class Operation>
std::vector<const Sample<Operation>*> judged_rows(const typename Operation::Constants& own, const KernelRows<Operation>& set, const KernelDevice& device) {
  return KernelFit<Operation>::judged_rows(own, set, device);
}

#define MOEPLAN_INSTANTIATE(Operation)                                                              \
  template FittedKernel<Operation> fit_kernel(const KernelRows<Operation>&, const KernelDevice&);   \
  template ErrorSummary error_of<Operation>(const Operation::Constants&, const ResidualTable&, const KernelRows<Operation>&, \
                                            const KernelDevice&);                                   \
  template std::vector<const Sample<Operation>*> judged_rows(const Operation::Constants&, const KernelRows<Operation>&, const KernelDevice&);
MOEPLAN_INSTANTIATE(GemmOperation)
MOEPLAN_INSTANTIATE(MoeOperation)
MOEPLAN_INSTANTIATE(DecodeOperation)
MOEPLAN_INSTANTIATE(PrefillOperation)
MOEPLAN_INSTANTIATE(MlaDecodeOperation)
MOEPLAN_INSTANTIATE(MlaPrefillOperation)
MOEPLAN_INSTANTIATE(CollectiveOperation)
MOEPLAN_INSTANTIATE(ExchangeOperation)
#undef MOEPLAN_INSTANTIATE

}  // namespace moeplan
