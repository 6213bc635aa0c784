#include "metrics/request_log.hpp"

#include <fmt/format.h>

#include <iterator>

#include "base/error.hpp"

namespace moeplan {
namespace {

constexpr std::size_t kBuffer = 64 * 1024;

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + '"';
}

}  // namespace

RequestLog::RequestLog(const std::filesystem::path& file, std::vector<std::string> classes) : file_(file) {
  for (const std::string& name : classes) classes_.push_back(quoted(name));
  file_.write("id,class,arrival_s,scheduled_s,first_token_s,last_token_s,prompt_tokens,output_tokens,replica,preemptions\n");
}

RequestLog::Slot& RequestLog::slot(std::uint64_t id) {
  MOEPLAN_CHECK(id >= next_);
  const std::uint64_t at = id - next_;
  if (at >= waiting_.size()) waiting_.resize(at + 1);
  Slot& result = waiting_[at];
  MOEPLAN_CHECK(!result.ended);  // a request ends once
  result.ended = true;
  return result;
}

void RequestLog::on_finished(const FinishedRequest& request) {
  slot(request.spec.id).finished = request;
  write_ended(false);
}

void RequestLog::on_rejected(const RequestSpec& spec, RejectReason /*reason*/, SimTime /*at*/) {
  slot(spec.id);
  write_ended(false);
}

void RequestLog::write_ended(bool all) {
  for (; !waiting_.empty() && (all || waiting_.front().ended); waiting_.pop_front(), ++next_) {
    if (waiting_.front().finished) append(*waiting_.front().finished);
  }
}

void RequestLog::append(const FinishedRequest& r) {
  const auto seconds = [this](SimTime t) {
    fmt::format_to(std::back_inserter(buffer_), "{}.{:09},", t.count() / 1'000'000'000, t.count() % 1'000'000'000);
  };
  fmt::format_to(std::back_inserter(buffer_), "{},{},", r.spec.id, classes_.at(static_cast<std::size_t>(r.spec.class_id)));
  seconds(r.spec.arrival);
  seconds(r.scheduled);
  seconds(r.first_token);
  seconds(r.last_token);
  fmt::format_to(std::back_inserter(buffer_), "{},{},{},{}\n", r.spec.prompt_tokens, r.spec.output_tokens, r.replica, r.preemptions);
  if (buffer_.size() < kBuffer) return;
  file_.write(buffer_);
  buffer_.clear();
}

void RequestLog::on_end(SimTime /*now*/) {
  write_ended(true);
  file_.write(buffer_);
  buffer_.clear();
  file_.commit();
}

}  // namespace moeplan
