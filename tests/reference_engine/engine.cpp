#include "reference_engine/engine.hpp"

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "base/random.hpp"

namespace moeplan::reference {
namespace {

std::size_t size_of(std::int64_t n) { return static_cast<std::size_t>(n); }
int blocks_for(int tokens) { return (tokens + bench::kBlockTokens - 1) / bench::kBlockTokens; }

}  // namespace

BlockPool::BlockPool(int blocks) : free_(size_of(blocks)), taken_(size_of(blocks), false) { std::iota(free_.rbegin(), free_.rend(), 0); }

std::vector<std::int32_t> BlockPool::take(int count) {
  MOEPLAN_CHECK(count <= free_blocks());
  std::vector<std::int32_t> blocks(free_.end() - count, free_.end());
  free_.resize(free_.size() - size_of(count));
  for (const std::int32_t block : blocks) taken_[size_of(block)] = true;
  return blocks;
}

void BlockPool::give_back(const std::vector<std::int32_t>& blocks) {
  for (const std::int32_t block : blocks) {
    MOEPLAN_CHECK(taken_[size_of(block)]);
    taken_[size_of(block)] = false;
    free_.push_back(block);
  }
}

std::vector<std::int32_t> prompt_of(std::uint64_t seed, std::size_t index, int tokens, int vocab) {
  RandomStream random(seed, "reference/prompt", index);
  std::vector<std::int32_t> prompt(size_of(tokens));
  for (std::int32_t& token : prompt) token = static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(vocab)));
  return prompt;
}

Engine::Engine(Model& model, const EngineConfig& config, EngineClock& clock)
    : model_(model), config_(config), clock_(clock), decoder_(model, config.kv_blocks), blocks_(config.kv_blocks) {}

ServingLog Engine::serve(const std::vector<Request>& requests, std::uint64_t seed) {
  ServingLog log;
  log.requests.resize(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    MOEPLAN_CHECK(i == 0 || requests[i - 1].arrival <= requests[i].arrival);
    MOEPLAN_CHECK(requests[i].prompt_tokens > 0 && requests[i].output_tokens > 0);
    MOEPLAN_CHECK(blocks_for(requests[i].prompt_tokens + requests[i].output_tokens) <= config_.kv_blocks);
    log.requests[i].arrival = requests[i].arrival;
  }
  requests_ = &requests;
  next_arrival_ = 0;
  while (next_arrival_ < requests.size() || !waiting_.empty() || !running_.empty()) {
    const double now = clock_.now();
    while (next_arrival_ < requests.size() && requests[next_arrival_].arrival <= now) waiting_.push_back(next_arrival_++);
    if (waiting_.empty() && running_.empty()) {
      clock_.wait_until(requests[next_arrival_].arrival);
      continue;
    }
    admit(log, seed);
    compose();
    run_step(log);
  }
  return log;
}

void Engine::admit(ServingLog& log, std::uint64_t seed) {
  // Somebody is admitted only into a step that has room for some of the prompt.
  int budget = config_.max_batch_tokens;
  for (const Sequence& s : running_) budget -= s.decodes() ? 1 : s.prompt - s.cached;
  while (!waiting_.empty() && budget > 0 && static_cast<int>(running_.size()) < config_.max_batch_requests) {
    const std::size_t index = waiting_.front();
    const Request& request = (*requests_)[index];
    const int blocks = blocks_for(request.prompt_tokens + request.output_tokens);
    if (blocks > blocks_.free_blocks()) return;
    waiting_.pop_front();
    Sequence s{index, prompt_of(seed, index, request.prompt_tokens, model_.config().vocab), request.prompt_tokens, request.output_tokens, 0, blocks_.take(blocks)};
    log.requests[index].scheduled = clock_.now();
    budget -= s.prompt;
    running_.push_back(std::move(s));
  }
}

void Engine::compose() {
  slices_.clear();
  members_.clear();
  int budget = config_.max_batch_tokens;
  const auto add = [&](std::size_t i, int count) {
    Sequence& s = running_[i];
    const int end = s.cached + count;
    slices_.push_back({{s.tokens.data() + s.cached, size_of(count)}, s.cached, s.blocks.data(), end >= s.prompt});
    members_.push_back(i);
    budget -= count;
  };
  for (std::size_t i = 0; i < running_.size(); ++i) {
    if (running_[i].decodes()) add(i, 1);
  }
  for (std::size_t i = 0; i < running_.size() && budget > 0; ++i) {
    const Sequence& s = running_[i];
    // A prompt's single last token is a decode to the attention kernel and must stand with the others.
    if (!s.decodes() && std::min(budget, s.prompt - s.cached) == 1) add(i, 1);
  }
  for (std::size_t i = 0; i < running_.size() && budget > 0; ++i) {
    const Sequence& s = running_[i];
    const bool added = std::find(members_.begin(), members_.end(), i) != members_.end();
    if (!added && !s.decodes()) {
      const int count = std::min(budget, s.prompt - s.cached);
      if (count > 1) add(i, count);
    }
  }
}

void Engine::run_step(ServingLog& log) {
  StepLog step;
  for (std::size_t i = 0; i < slices_.size(); ++i) {
    const Sequence& s = running_[members_[i]];
    if (s.decodes()) {
      ++step.decode_sequences;
      step.decode_context += s.cached + 1;
    } else {
      const int tokens = static_cast<int>(slices_[i].tokens.size());
      step.prefill_tokens += tokens;
      step.chunks.push_back({tokens, slices_[i].position, slices_[i].samples});
    }
  }
  const long before = clock_.disturbances();
  step.start = clock_.now();
  const StepResult result = decoder_.step(slices_);
  step.seconds = clock_.now() - step.start;
  step.disturbed = clock_.disturbances() != before;
  step.distinct_experts = result.distinct_experts;
  step.operations = result.seconds;
  log.steps.push_back(step);
  advance(result, log);
}

void Engine::advance(const StepResult& result, ServingLog& log) {
  const double now = clock_.now();
  std::size_t sampled = 0;
  for (std::size_t i = 0; i < slices_.size(); ++i) {
    Sequence& s = running_[members_[i]];
    s.cached += static_cast<int>(slices_[i].tokens.size());
    if (!slices_[i].samples) continue;
    RequestLog& request = log.requests[s.index];
    request.output.push_back(result.next[sampled++]);
    s.tokens.push_back(request.output.back());
    if (request.output.size() == 1) request.first_token = now;
    if (static_cast<int>(request.output.size()) == s.outputs) request.finished = now;
  }
  const auto done = [&](Sequence& s) {
    const bool finished = static_cast<int>(log.requests[s.index].output.size()) == s.outputs;
    if (finished) blocks_.give_back(s.blocks);
    return finished;
  };
  running_.erase(std::remove_if(running_.begin(), running_.end(), done), running_.end());
}

}  // namespace moeplan::reference
