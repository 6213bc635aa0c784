#include "metrics/timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>

#include "base/error.hpp"

namespace moeplan {

namespace {

/// `text` as a JSON string.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

constexpr std::size_t kBuffer = 64 * 1024;
constexpr std::int64_t kRequests = 0;  // process of the requests; replica r is process r + 1
constexpr std::int64_t kSteps = 1;     // threads of a replica
constexpr std::int64_t kTransfers = 2;

/// Microseconds, to the nanosecond.
std::string microseconds(SimTime t) { return fmt::format("{}.{:03}", t.count() / 1000, t.count() % 1000); }

std::string_view reason(RejectReason r) {
  switch (r) {
    case RejectReason::kTooLong: return "too long";
    case RejectReason::kDoesNotFit: return "does not fit";
    case RejectReason::kQueueFull: return "queue full";
  }
  MOEPLAN_CHECK(false);
  return {};
}

std::string_view step_name(const PreparedStep& step) {
  if (step.pure_decode) return "decode";
  return step.decode_sequences > 0 ? "prefill and decode" : "prefill";
}

}  // namespace

Timeline::Timeline(const std::filesystem::path& file, std::int32_t replicas, std::uint64_t limit, const std::vector<std::string>& classes)
    : file_(file), limit_(limit), steps_per_replica_(std::max<std::uint64_t>(1, limit / static_cast<std::uint64_t>(replicas))),
      steps_(static_cast<std::size_t>(replicas)) {
  for (const std::string& name : classes) classes_.push_back(quoted(name));
  buffer_ = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
  name_track("process_name", kRequests, 0, "requests");
  for (std::int64_t r = 1; r <= replicas; ++r) {
    name_track("process_name", r, 0, fmt::format("replica {}", r - 1));
    name_track("thread_name", r, kSteps, "steps");
    name_track("thread_name", r, kTransfers, "transfers");
  }
}

void Timeline::begin(char phase, std::string_view name, std::int64_t process, std::int64_t thread, SimTime at) {
  fmt::format_to(std::back_inserter(buffer_), "{}\n{{\"ph\":\"{}\",\"name\":\"{}\",\"pid\":{},\"tid\":{},\"ts\":{}", first_ ? "" : ",", phase, name, process,
                 thread, microseconds(at));
  first_ = false;
}

void Timeline::end() {
  buffer_ += '}';
  if (buffer_.size() < kBuffer) return;
  file_.write(buffer_);
  buffer_.clear();
}

void Timeline::name_track(std::string_view what, std::int64_t process, std::int64_t thread, const std::string& name) {
  begin('M', what, process, thread, SimTime{0});
  buffer_ += fmt::format(",\"args\":{{\"name\":\"{}\"}}", name);
  end();
}

void Timeline::request_phase(std::uint64_t id, std::string_view name, SimTime from, SimTime to) {
  for (const auto& [phase, at] : {std::pair{'b', from}, std::pair{'e', to}}) {
    begin(phase, name, kRequests, 0, at);
    buffer_ += fmt::format(",\"cat\":\"request\",\"id\":\"{}\"", id);
    end();
  }
}

void Timeline::on_finished(const FinishedRequest& r) {
  ++requests_;
  if (r.spec.id >= limit_) return;
  ++requests_written_;
  begin('b', fmt::format("request {}", r.spec.id), kRequests, 0, r.spec.arrival);
  buffer_ += fmt::format(",\"cat\":\"request\",\"id\":\"{}\",\"args\":{{\"class\":{},\"replica\":{},\"prompt_tokens\":{},\"cached_tokens\":{},\"output_tokens\":{},\"preemptions\":{}}}",
                         r.spec.id, classes_.at(static_cast<std::size_t>(r.spec.class_id)), r.replica, r.spec.prompt_tokens, r.cached_tokens, r.spec.output_tokens, r.preemptions);
  end();
  request_phase(r.spec.id, "queued", r.spec.arrival, r.scheduled);
  request_phase(r.spec.id, "prefill", r.scheduled, r.first_token);
  request_phase(r.spec.id, "decode", r.first_token, r.last_token);
  begin('e', fmt::format("request {}", r.spec.id), kRequests, 0, r.last_token);
  buffer_ += fmt::format(",\"cat\":\"request\",\"id\":\"{}\"", r.spec.id);
  end();
}

void Timeline::on_rejected(const RequestSpec& spec, RejectReason why, SimTime at) {
  ++requests_;
  if (spec.id >= limit_) return;
  ++requests_written_;
  begin('i', "rejected", kRequests, 0, at);
  buffer_ += fmt::format(",\"s\":\"p\",\"args\":{{\"request\":{},\"reason\":\"{}\"}}", spec.id, reason(why));
  end();
}

void Timeline::on_preempted(std::uint64_t id, std::int32_t replica, SimTime at) {
  ++evictions_;
  if (id >= limit_) return;
  ++evictions_written_;
  begin('i', "eviction", replica + 1, kSteps, at);
  buffer_ += fmt::format(",\"s\":\"t\",\"args\":{{\"request\":{}}}", id);
  end();
}

void Timeline::on_kv_transfer(const KvTransferRecord& t) {
  if (t.id >= limit_) return;
  // Several leave a replica at once: asynchronous events of a category of their own.
  for (const auto& [phase, at] : {std::pair{'b', t.start}, std::pair{'e', t.end}}) {
    begin(phase, "KV hand-off", t.from + 1, kTransfers, at);
    buffer_ += fmt::format(",\"cat\":\"kv\",\"id\":\"{}\"", t.id);
    if (phase == 'b') {
      buffer_ += fmt::format(",\"args\":{{\"request\":{},\"to_replica\":{},\"bytes\":{},\"sent_beside_prefill_bytes\":{},\"waited_for_room_us\":{}}}", t.id, t.to, t.bytes.value(),
                             t.hidden.value(), microseconds(t.start - t.ready));
    }
    end();
  }
}

void Timeline::communication(const StepRecord& step, std::int64_t process) {
  SimTime at = step.start;
  for (const StepPart part : {StepPart::kAllReduce, StepPart::kAllToAll, StepPart::kPipeline}) {
    double seconds = step.prepared->fixed_parts[static_cast<std::size_t>(part)];
    if (part == StepPart::kAllToAll) {
      seconds += step.outcome->all_to_all_seconds + step.outcome->contention_seconds - step.outcome->hidden_seconds;
    }
    const SimTime length = to_sim_time(Seconds(seconds));
    if (length.count() == 0) continue;
    begin('X', to_string(part), process, kTransfers, at);
    buffer_ += fmt::format(",\"dur\":{}", microseconds(length));
    end();
    at += length;
  }
}

void Timeline::counters(const StepRecord& step, std::int64_t process) {
  begin('C', "requests", process, 0, step.start);
  buffer_ += fmt::format(",\"args\":{{\"running\":{},\"waiting\":{}}}", step.running, step.waiting);
  end();
  begin('C', "KV tokens", process, 0, step.start);
  buffer_ += fmt::format(",\"args\":{{\"used\":{}}}", step.kv_tokens_used);
  end();
}

void Timeline::on_step(const StepRecord& step) {
  std::uint64_t& seen = steps_.at(static_cast<std::size_t>(step.replica));
  if (seen++ >= steps_per_replica_) return;
  ++steps_written_;
  const std::int64_t process = step.replica + 1;
  const PreparedStep& prepared = *step.prepared;
  if (step.stall.count() > 0) {
    begin('X', "experts move", process, kTransfers, step.start - step.stall);
    buffer_ += fmt::format(",\"dur\":{}", microseconds(step.stall));
    end();
  }
  begin('X', step_name(prepared), process, kSteps, step.start);
  buffer_ += fmt::format(",\"dur\":{},\"args\":{{\"decode_sequences\":{},\"decode_context\":{},\"prefill_tokens\":{},\"hottest_over_mean\":{:.4f},\"distinct_experts\":{:.2f}}}",
                         microseconds(step.end - step.start), prepared.decode_sequences, step.decode_context, prepared.prefill_tokens, step.outcome->hottest_over_mean,
                         step.outcome->distinct_experts);
  end();
  communication(step, process);
  counters(step, process);
}

void Timeline::on_end(SimTime now) {
  const std::uint64_t steps = std::accumulate(steps_.begin(), steps_.end(), std::uint64_t{0});
  buffer_ += fmt::format("\n],\"otherData\":{{\"simulated_us\":\"{}\",\"steps\":\"{} of {}\",\"requests\":\"{} of {}\",\"evictions\":\"{} of {}\"}}}}\n", microseconds(now), steps_written_, steps,
                         requests_written_, requests_, evictions_written_, evictions_);
  file_.write(buffer_);
  buffer_.clear();
  file_.commit();
}

}  // namespace moeplan
