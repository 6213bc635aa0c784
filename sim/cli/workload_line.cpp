#include "cli/workload_line.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "workload/trace_reader.hpp"

namespace moeplan::cli {

namespace {

std::string rate_text(double per_second) { return fmt::format("{:.2f} /s", per_second); }

std::string arrivals_text(const ArrivalConfig& a) {
  const std::string process(to_string(a.process));
  switch (a.process) {
    case ArrivalProcess::kPoisson:
    case ArrivalProcess::kGamma: return process + ", " + rate_text(a.rate);
    case ArrivalProcess::kMarkovModulated: return "modulated, " + rate_text(mean_rate(a));
    case ArrivalProcess::kClosed: return fmt::format("{}, {} at once", process, a.concurrency);
    case ArrivalProcess::kBatch: return process;
    case ArrivalProcess::kTrace: {
      const double span = to_seconds(a.trace->last - a.trace->first).value();
      if (span <= 0) return process;
      return process + ", " + rate_text(mean_rate(a));
    }
  }
  return process;
}

/// Mean and largest token count of a trace.
std::string trace_text(const std::filesystem::path& file, std::int32_t TraceRow::*tokens) {
  TraceReader reader(file);
  TraceRow row;
  double sum = 0;
  double rows = 0;
  std::int32_t most = 0;
  for (; reader.next(row); ++rows) {
    sum += row.*tokens;
    most = std::max(most, row.*tokens);
  }
  return fmt::format("mean {:.0f}, to {}", sum / std::max(rows, 1.0), most);
}

std::string lengths_text(const LengthConfig& c, const ArrivalConfig& arrivals, std::int32_t TraceRow::*tokens) {
  switch (c.kind) {
    case LengthKind::kFixed: return fmt::format("{}", c.value);
    case LengthKind::kUniform: return fmt::format("{} to {}", c.low, c.high);
    case LengthKind::kLognormal: return fmt::format("median {:.0f}, sigma {:.2f}", c.median, c.sigma);
    case LengthKind::kEmpirical: {
      double sum = 0;
      double weights = 0;
      for (const LengthBin& bin : c.bins) {
        sum += bin.weight * bin.tokens;
        weights += bin.weight;
      }
      return fmt::format("mean {:.0f}", sum / weights);
    }
    case LengthKind::kTrace: return trace_text(c.file.empty() ? arrivals.file : c.file, tokens);
  }
  return {};
}

std::string line(const std::string& id, const std::string& arrivals, const std::string& prompts, const std::string& outputs,
                 const std::string& requests) {
  return fmt::format("  {:<24} {:<18} {:<24} {:<24} {:>9}\n", id, arrivals, prompts, outputs, requests);
}

}  // namespace

std::string workload_heading() { return line("id", "arrivals", "prompt tokens", "output tokens", "requests"); }

std::string workload_line(const std::string& id, const WorkloadConfig& workload) {
  const auto text = [&](LengthConfig WorkloadClass::*lengths, std::int32_t TraceRow::*tokens) {
    if (workload.classes.size() > 1) return fmt::format("{} classes", workload.classes.size());
    return lengths_text(workload.classes[0].*lengths, workload.arrivals, tokens);
  };
  return line(id, arrivals_text(workload.arrivals), text(&WorkloadClass::prompt_tokens, &TraceRow::prompt_tokens),
              text(&WorkloadClass::output_tokens, &TraceRow::output_tokens), fmt::format("{}", workload.requests));
}

}  // namespace moeplan::cli
