#include "study/plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "study/anchor_study.hpp"
#include "study/plan_bounds.hpp"
#include "study/plan_headroom.hpp"
#include "study/plan_journal.hpp"

namespace moeplan {

using nlohmann::json;

namespace {

constexpr double kNoCut = std::numeric_limits<double>::infinity();
/// Groups of the first round; later ones are twice as long each. Fixed: the answer must not depend on who computes.
constexpr std::size_t kFirstRound = 8;
constexpr std::size_t kLongestRound = 128;

/// A candidate after screening.
struct Screened {
  CandidateOutcome outcome;  ///< kNone: to be simulated
  int first = 1;             ///< lowest rung that may do
  double least_usd = 0;      ///< of that rung
};

std::string screened_text(const std::vector<Screened>& group) {
  json out = json::array();
  for (const Screened& s : group) out.push_back({s.outcome.to_text(), s.first, s.least_usd});
  return out.dump();
}

std::vector<Screened> screened_from(const std::string& text) {
  std::vector<Screened> out;
  for (const json& s : json::parse(text)) {
    out.push_back({CandidateOutcome::from_text(s[0].get<std::string>()), s[1].get<int>(), s[2].get<double>()});
  }
  return out;
}

CandidateOutcome rejected(Rejection rejection, std::string reason, std::string key = {}) { return {rejection, std::move(reason), std::move(key), std::nullopt}; }

std::string replicas_text(const PlanSize& size) {
  return fmt::format("{} {} ({} GPUs)", size.serving, size.serving == 1 ? "replica" : "replicas", size.gpus);
}

class PlanSearch {
 public:
  PlanSearch(const PlanSpace& space, const DataRoot& data, const PlanOptions& options, PlanExecutor& executor);
  PlanAnswer run();

 private:
  /// What one group's simulations stand on; made on first use, on whichever process needs it.
  struct GroupState {
    std::mutex mutex;
    DeploymentConfig config;  ///< with anchors applied
    std::unique_ptr<Deployment> deployment;
  };

  [[nodiscard]] const Scenario& base(const PlanGroup& g) const { return space_.bases[g.base].scenario; }
  [[nodiscard]] bool out_of_time() const { return options_.out_of_time && options_.out_of_time(); }
  DeploymentConfig candidate_config(std::size_t candidate) const;
  const Deployment& deployment(std::size_t group);
  void forget(std::size_t group);
  void read_anchors();
  [[nodiscard]] bool is_anchored(std::size_t group) const { return !anchored_.empty() && anchored_[group]; }
  void tell_finished(std::size_t group) const;

  void screen();
  std::string screen_group(std::size_t group);
  Screened screen_candidate(std::size_t candidate, const PlanLadder& ladder);
  void simulate_rounds();
  std::vector<std::size_t> round_order() const;
  std::string evaluate_group(std::size_t group, double cut);
  CandidateOutcome evaluate(std::size_t candidate, const PlanLadder& ladder, double cut);
  static PlanFigures figures(const PlanLadder& ladder, int rung, const PlanRun& run);
  std::optional<int> off_peak_rung(const PlanReplica& replica, const PlanGroup& group, const PlanLadder& ladder, int rung, int last) const;
  [[nodiscard]] double cut_for(std::size_t group) const;
  void choose();
  void describe_best();

  const PlanSpace& space_;
  const DataRoot& data_;
  const PlanOptions& options_;
  PlanExecutor& executor_;
  StudyLibraries shared_;
  std::vector<MeasuredRun> anchor_runs_;
  std::vector<bool> anchored_;  ///< by group; empty without anchors
  std::vector<PlanQuestion> questions_;  ///< by base
  std::vector<WorkloadProfile> profiles_;
  std::vector<std::unique_ptr<GroupState>> states_;
  std::vector<Screened> screened_;  ///< by candidate
  PlanAnswer answer_;
};

PlanSearch::PlanSearch(const PlanSpace& space, const DataRoot& data, const PlanOptions& options, PlanExecutor& executor)
    : space_(space), data_(data), options_(options), executor_(executor) {
  answer_.factors = load_factors(space.search.load, space.bases.front().scenario.workload);
  for (const PlanBase& b : space.bases) questions_.push_back(plan_question(b.scenario, answer_.factors.peak));
  // All bases see the same requests; only what they may hold of them differs.
  profiles_.push_back(profile_workload(questions_.front()));
  for (std::size_t i = 0; i < space.groups.size(); ++i) states_.push_back(std::make_unique<GroupState>());
  answer_.outcomes.resize(space.candidates.size());
  screened_.resize(space.candidates.size());
  if (!options.anchors.empty()) read_anchors();
}

void PlanSearch::read_anchors() {
  anchor_runs_ = read_measured_runs(options_.anchors);
  anchored_.resize(space_.groups.size());
  for (std::size_t i = 0; i < space_.groups.size(); ++i) {
    const PlanGroup& group = space_.groups[i];
    if (!group.refusal.empty()) continue;
    Scenario scenario = base(group);
    scenario.deployment = group.config;
    anchored_[i] = has_anchors(scenario, anchor_runs_, data_);
  }
  if (std::none_of(anchored_.begin(), anchored_.end(), [](bool yes) { return yes; })) {
    throw InputError(options_.anchors.string(), "no row was measured on a candidate of the search");
  }
}

DeploymentConfig PlanSearch::candidate_config(std::size_t candidate) const {
  DeploymentConfig config = space_.groups[space_.candidates[candidate].group].config;
  config.scheduler = space_.candidates[candidate].scheduler;
  return config;
}

const Deployment& PlanSearch::deployment(std::size_t index) {
  GroupState& state = *states_[index];
  const std::lock_guard lock(state.mutex);
  if (state.deployment) return *state.deployment;
  const PlanGroup& group = space_.groups[index];
  state.config = group.config;
  if (is_anchored(index)) {
    Scenario scenario = base(group);
    scenario.deployment = group.config;
    anchor_scenario(scenario, options_.anchors, data_);
    state.config.engine = scenario.deployment.engine;
  }
  state.deployment = std::make_unique<Deployment>(state.config, shared_);
  return *state.deployment;
}

void PlanSearch::forget(std::size_t index) {
  const std::lock_guard lock(states_[index]->mutex);
  states_[index]->deployment.reset();
}

/// Also told of groups that other processes have done; telling twice is no harm.
void PlanSearch::tell_finished(std::size_t index) const {
  if (options_.status != nullptr) options_.status->finished(space_.groups[index].id, space_.groups[index].count);
}

// --- screening

Screened PlanSearch::screen_candidate(std::size_t candidate, const PlanLadder& ladder) {
  const PlanCandidate& c = space_.candidates[candidate];
  const PlanGroup& group = space_.groups[c.group];
  const DeploymentConfig config = candidate_config(candidate);
  Screened s;
  const MemorySummary memory = plan_deployment_memory(config);
  if (!memory.plan.fits) {
    s.outcome = rejected(Rejection::kMemory, fmt::format("does not fit: {:.1f} GB missing per GPU ({:.1f} GB of weights on {:.1f} GB)", memory.plan.missing.as_double() / 1e9,
                                                         memory.plan.weights.as_double() / 1e9, memory.plan.capacity.as_double() / 1e9));
    return s;
  }
  if (ladder.rungs() == 0) {
    s.outcome = rejected(Rejection::kLimit, ladder.limit());
    return s;
  }
  const Deployment& shared = deployment(c.group);
  DeploymentConfig anchored = config;
  anchored.engine = shared.config().engine;
  const PlanReplica replica{anchored, memory.plan, shared.cost()};
  const PlanBounds bounds = bound_plan(questions_[group.base], profiles_.front(), replica);
  if (!bounds.problem.empty()) {
    s.outcome = rejected(Rejection::kBound, bounds.problem, bounds.failing);
    return s;
  }
  if (ladder.size(ladder.rungs()).serving < bounds.replicas) {
    s.outcome = rejected(Rejection::kLimit, fmt::format("needs at least {} serving replicas by the bound of its best batches; {}", bounds.replicas, ladder.limit()));
    return s;
  }
  s.first = 1;
  int high = ladder.rungs();
  while (s.first < high) {
    const int middle = s.first + (high - s.first) / 2;
    if (ladder.size(middle).serving >= bounds.replicas) {
      high = middle;
    } else {
      s.first = middle + 1;
    }
  }
  s.least_usd = ladder.price(s.first, 0).usd_per_hour;
  return s;
}

std::string PlanSearch::screen_group(std::size_t index) {
  const PlanGroup& group = space_.groups[index];
  std::vector<Screened> out(group.count);
  const auto all = [&](const CandidateOutcome& outcome) {
    for (Screened& s : out) s.outcome = outcome;
    return screened_text(out);
  };
  if (!group.refusal.empty()) return all(rejected(group.refused_by_engine ? Rejection::kSupport : Rejection::kLayout, group.refusal));
  if (const std::string& problem = space_.bases[group.base].price_problem; !problem.empty()) return all(rejected(Rejection::kPrice, problem));
  if (out_of_time()) return {};
  const PlanLadder ladder(space_, group);
  bool open = false;
  for (std::size_t i = 0; i < group.count; ++i) {
    out[i] = screen_candidate(group.first + i, ladder);
    open = open || out[i].outcome.rejection == Rejection::kNone;
  }
  if (!open) forget(index);
  return screened_text(out);
}

void PlanSearch::screen() {
  const std::vector<std::string> texts = executor_.map(space_.groups.size(), [&](std::size_t i) { return screen_group(i); });
  for (std::size_t g = 0; g < texts.size(); ++g) {
    const PlanGroup& group = space_.groups[g];
    const std::vector<Screened> found = texts[g].empty() ? std::vector<Screened>() : screened_from(texts[g]);
    for (std::size_t i = 0; i < group.count; ++i) {
      Screened& s = screened_[group.first + i];
      if (found.empty()) {
        s.outcome = rejected(Rejection::kUnfinished, "not looked at: the time budget ended first");
        answer_.exhausted = false;
      } else {
        s = found[i];
      }
      answer_.outcomes[group.first + i] = s.outcome;
    }
    const bool open = std::any_of(found.begin(), found.end(), [](const Screened& s) { return s.outcome.rejection == Rejection::kNone; });
    if (!open && !found.empty()) tell_finished(g);
  }
}

// --- simulation

std::vector<std::size_t> PlanSearch::round_order() const {
  std::vector<std::pair<double, std::size_t>> order;
  for (std::size_t g = 0; g < space_.groups.size(); ++g) {
    double least = kNoCut;
    for (std::size_t i = 0; i < space_.groups[g].count; ++i) {
      const Screened& s = screened_[space_.groups[g].first + i];
      if (s.outcome.rejection == Rejection::kNone) least = std::min(least, s.least_usd);
    }
    if (least < kNoCut) order.emplace_back(least, g);
  }
  std::sort(order.begin(), order.end());
  std::vector<std::size_t> groups;
  for (const auto& [usd, g] : order) groups.push_back(g);
  return groups;
}

/// What a candidate may cost at most to be of interest: the front reaches up to a multiple of the cheapest plan, and of every model on every GPU the
/// cheapest plan is wanted.
double PlanSearch::cut_for(std::size_t index) const {
  const PlanGroup& group = space_.groups[index];
  const auto same_choice = [&](const PlanGroup& g) {
    return g.config.model.id == group.config.model.id && g.config.cluster.gpu.id == group.config.cluster.gpu.id;
  };
  double cheapest = kNoCut;
  double of_choice = kNoCut;
  for (std::size_t i = 0; i < answer_.outcomes.size(); ++i) {
    const CandidateOutcome& o = answer_.outcomes[i];
    if (!o.plan) continue;
    cheapest = std::min(cheapest, o.plan->price.usd_per_hour);
    if (same_choice(space_.groups[space_.candidates[i].group])) of_choice = std::min(of_choice, o.plan->price.usd_per_hour);
  }
  return std::max(cheapest * space_.search.pareto_up_to, of_choice);
}

void PlanSearch::simulate_rounds() {
  const std::vector<std::size_t> order = round_order();
  std::size_t length = kFirstRound;
  for (std::size_t start = 0; start < order.size(); start += length, length = std::min(2 * length, kLongestRound)) {
    const std::size_t count = std::min(length, order.size() - start);
    std::vector<double> cuts;
    for (std::size_t i = 0; i < count; ++i) cuts.push_back(cut_for(order[start + i]));
    const auto work = [&](std::size_t i) { return evaluate_group(order[start + i], cuts[i]); };
    const std::vector<std::string> texts = executor_.map(count, work);
    for (std::size_t i = 0; i < count; ++i) {
      const PlanGroup& group = space_.groups[order[start + i]];
      const json found = texts[i].empty() ? json() : json::parse(texts[i]);
      if (!found.is_null()) tell_finished(order[start + i]);
      for (std::size_t k = 0; k < group.count; ++k) {
        CandidateOutcome& outcome = answer_.outcomes[group.first + k];
        if (outcome.rejection != Rejection::kNone) continue;
        if (found.is_null()) {
          outcome = rejected(Rejection::kUnfinished, "not simulated: the time budget ended first");
          answer_.exhausted = false;
          continue;
        }
        outcome = CandidateOutcome::from_text(found[k].get<std::string>());
        if (outcome.rejection != Rejection::kCostBound) ++answer_.simulated;
      }
    }
  }
}

std::string PlanSearch::evaluate_group(std::size_t index, double cut) {
  const PlanGroup& group = space_.groups[index];
  const std::string key = fmt::format("{} below {}", group.id, cut);
  if (options_.journal != nullptr) {
    if (const auto stored = options_.journal->find(key)) {
      tell_finished(index);
      return *stored;
    }
  }
  if (out_of_time()) return {};
  const PlanLadder ladder(space_, group);
  json out = json::array();
  double limit = cut;
  for (std::size_t i = 0; i < group.count; ++i) {
    const std::size_t candidate = group.first + i;
    if (screened_[candidate].outcome.rejection != Rejection::kNone) {
      out.push_back("");
      continue;
    }
    const CandidateOutcome outcome = evaluate(candidate, ladder, limit);
    if (outcome.plan) limit = std::min(limit, outcome.plan->price.usd_per_hour * space_.search.pareto_up_to);
    out.push_back(outcome.to_text());
  }
  forget(index);
  const std::string text = out.dump();
  if (options_.journal != nullptr) options_.journal->append(key, text);
  tell_finished(index);
  return text;
}

PlanFigures PlanSearch::figures(const PlanLadder& ladder, int rung, const PlanRun& run) {
  PlanFigures plan;
  plan.size = ladder.size(rung);
  plan.price = ladder.price(rung, run.utilisation);
  plan.requests = run.requests;
  plan.short_window = run.short_window;
  plan.latency = run.latency;
  plan.throughput = run.throughput;
  plan.utilisation = run.utilisation;
  for (const ObjectiveResult& o : run.objectives) plan.objectives.push_back(o.value.value_or(0));
  return plan;
}

/// The lowest rung from `rung` on that also bears the calmest hour with nodes in maintenance beside the spare ones; nothing up to `last`.
std::optional<int> PlanSearch::off_peak_rung(const PlanReplica& replica, const PlanGroup& group, const PlanLadder& ladder, int rung, int last) const {
  const ReliabilityConfig& r = space_.search.reliability;
  if (!r.maintenance_off_peak || r.maintenance_nodes == 0 || !(answer_.factors.trough > 0)) return rung;
  const PlanQuestion calm = plan_question(base(group), answer_.factors.trough);
  const SmallestPlan least = smallest_plan(calm, replica, [](int n) { return n; }, 1, std::max(1, ladder.size(last).serving));
  if (!least.rung) return std::nullopt;
  const ReplicaPacking packing = pack_replicas(group.config.layout.gpus(), group.config.cluster.node.gpus);
  for (int i = rung; i <= last; ++i) {
    const PlanSize size = ladder.size(i);
    const int all = size.serving + size.spare;
    if (all - (r.spare_nodes + r.maintenance_nodes) * std::min(packing.replicas_per_node, all) >= *least.rung) return i;
  }
  return std::nullopt;
}

CandidateOutcome PlanSearch::evaluate(std::size_t candidate, const PlanLadder& ladder, double cut) {
  const std::size_t index = space_.candidates[candidate].group;
  const PlanGroup& group = space_.groups[index];
  const Screened& s = screened_[candidate];
  int last = ladder.rungs();
  const bool within_cut = ladder.price(last, 0).usd_per_hour <= cut;
  for (int low = s.first - 1; !within_cut && low < last;) {
    const int middle = low + (last - low + 1) / 2;
    if (ladder.price(middle, 0).usd_per_hour <= cut) {
      low = middle;
    } else {
      last = middle - 1;
    }
  }
  if (last < s.first) {
    return rejected(Rejection::kCostBound, fmt::format("needs at least {}: {:.2f} USD/h or more, beyond {:.2f}, for which plans are known",
                                                       replicas_text(ladder.size(s.first)), s.least_usd, cut));
  }
  const Deployment& shared = deployment(index);
  DeploymentConfig config = candidate_config(candidate);
  config.engine = shared.config().engine;
  const MemoryPlan memory = plan_deployment_memory(config).plan;
  const PlanReplica replica{config, memory, shared.cost()};
  const PlanQuestion& question = questions_[group.base];
  const auto replicas_of = [&](int rung) { return ladder.size(rung).serving; };
  SmallestPlan found;
  // Where others are known to do, most candidates are done with by one look at the largest size of interest.
  if (!within_cut && last > s.first) found.run = run_plan(question, replica, replicas_of(last));
  const bool hopeless = !within_cut && last > s.first && !found.run.met;
  if (!hopeless) found = smallest_plan(question, replica, replicas_of, s.first, last);
  if (!found.rung) {
    const std::string beyond = within_cut ? ladder.limit() : fmt::format("more would cost over {:.2f} USD/h", cut);
    return rejected(found.run.failing == "saturated" ? Rejection::kSaturated : Rejection::kObjective,
                    fmt::format("{} with {}, {:.2f} USD/h; {}", found.run.problem, replicas_text(ladder.size(last)), ladder.price(last, 0).usd_per_hour, beyond),
                    found.run.failing);
  }
  const auto rung = off_peak_rung(replica, group, ladder, *found.rung, last);
  if (!rung) return rejected(Rejection::kLimit, fmt::format("{} do at the peak, but leave too few in the calmest hour while nodes are in maintenance; {}", replicas_text(ladder.size(*found.rung)), ladder.limit()));
  CandidateOutcome outcome;
  if (*rung > *found.rung) found.run = run_plan(question, replica, replicas_of(*rung));
  if (!found.run.met) return rejected(Rejection::kObjective, fmt::format("{} with {}", found.run.problem, replicas_text(ladder.size(*rung))), found.run.failing);
  outcome.plan = figures(ladder, *rung, found.run);
  return outcome;
}

// --- choice

void PlanSearch::choose() {
  const std::vector<Objective>& objectives = space_.bases.front().scenario.objectives;
  std::vector<std::size_t> plans;
  for (std::size_t i = 0; i < answer_.outcomes.size(); ++i) {
    if (answer_.outcomes[i].plan) plans.push_back(i);
  }
  const auto figure = [&](std::size_t i) -> const PlanFigures& { return *answer_.outcomes[i].plan; };
  const auto exact = [&](std::size_t i) {
    double tightest = 0;
    for (std::size_t k = 0; k < objectives.size(); ++k) {
      if (objectives[k].kind == ObjectiveKind::kLatency) tightest = std::max(tightest, figure(i).objectives[k] / objectives[k].bound);
    }
    return std::tuple(figure(i).price.usd_per_hour, tightest, i);
  };
  std::sort(plans.begin(), plans.end(), [&](std::size_t a, std::size_t b) { return exact(a) < exact(b); });
  if (plans.empty()) return;
  answer_.best = plans.front();
  const double most = figure(plans.front()).price.usd_per_hour * space_.search.pareto_up_to;
  std::map<std::size_t, ParetoPoint> points;
  for (const std::size_t i : plans) points[i] = pareto_point(figure(i), objectives);
  for (std::size_t k = 0; k < plans.size(); ++k) {
    CandidateOutcome& outcome = answer_.outcomes[plans[k]];
    const ParetoPoint& point = points[plans[k]];
    // Of equal ones the first stays; the cheapest plan stays anyway.
    const auto beats = [&](std::size_t other) { return points[other].dominates(point); };
    const auto equal = [&](std::size_t other) { return points[other] == point; };
    auto beaten = std::find_if(plans.begin(), plans.begin() + static_cast<long>(k), equal);
    if (beaten == plans.begin() + static_cast<long>(k)) beaten = std::find_if(plans.begin(), plans.end(), beats);
    const bool within = outcome.plan->price.usd_per_hour <= most;
    if (k == 0 || (beaten == plans.end() && within)) {
      answer_.pareto.push_back(plans[k]);
      continue;
    }
    outcome.rejection = Rejection::kDearer;
    const std::string needs = fmt::format("does it with {} for {:.2f} USD/h", replicas_text(outcome.plan->size), outcome.plan->price.usd_per_hour);
    outcome.reason = beaten != plans.end() ? fmt::format("{}, but {} is no worse in cost, latency, throughput and power", needs, space_.candidates[*beaten].id)
                                           : fmt::format("{}, over {:g} x the cheapest plan", needs, space_.search.pareto_up_to);
  }
}

void PlanSearch::describe_best() {
  answer_.scenario = space_.bases.front().scenario;
  if (!answer_.best) return;
  const PlanCandidate& candidate = space_.candidates[*answer_.best];
  const PlanGroup& group = space_.groups[candidate.group];
  const PlanFigures& plan = *answer_.outcomes[*answer_.best].plan;
  Scenario& scenario = answer_.scenario;
  scenario = base(group);
  scenario.deployment = candidate_config(*answer_.best);
  scenario.deployment.cluster.nodes = plan.size.nodes;
  scenario.deployment.cluster.gpus = plan.size.gpus;
  scenario.replicas = plan.size.serving;
  scenario.spare_gpus = plan.size.spare_gpus;
  scenario.workload = questions_[group.base].workload;
  scenario.workload.requests = plan.requests;
  const SupportAnswer support = check_support(scenario.deployment.engine, scenario.deployment.cluster.gpu, engine_use(scenario.deployment));
  scenario.warnings.insert(scenario.warnings.end(), support.warnings.begin(), support.warnings.end());
  if (is_anchored(candidate.group)) {
    // Fitted as for all of the group, with the batch limits of its first candidate.
    Scenario first = base(group);
    first.deployment = group.config;
    answer_.anchors = anchor_scenario(first, options_.anchors, data_);
    scenario.deployment.engine = first.deployment.engine;
    scenario.files.push_back(options_.anchors);
  }
  const Deployment& shared = deployment(candidate.group);
  const MemoryPlan memory = plan_deployment_memory(scenario.deployment).plan;
  const PlanReplica replica{scenario.deployment, memory, shared.cost()};
  answer_.headroom = plan_headroom(space_, base(group), replica, plan, answer_.factors);
  DeploymentConfig slower = scenario.deployment;
  slower.engine.kernel_multiplier *= kSlowKernels;
  const Deployment slow(slower, shared_);
  add_assumptions(base(group), replica, {slower, memory, slow.cost()}, plan, answer_.factors.peak, *answer_.headroom);
}

PlanAnswer PlanSearch::run() {
  screen();
  simulate_rounds();
  choose();
  describe_best();
  return std::move(answer_);
}

}  // namespace

PlanQuestion plan_question(const Scenario& base, double factor) {
  PlanQuestion question;
  question.workload = base.workload.arrivals.process == ArrivalProcess::kBatch ? base.workload : scaled_workload(base.workload, factor);
  question.objectives = base.objectives;
  question.router = base.router;
  question.seed = base.seed;
  return question;
}

PlanAnswer search_plan(const PlanSpace& space, const DataRoot& data, const PlanOptions& options) {
  ThreadExecutor threads(0);
  return PlanSearch(space, data, options, options.executor != nullptr ? *options.executor : threads).run();
}

}  // namespace moeplan
