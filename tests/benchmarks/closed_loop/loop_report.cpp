#include "benchmarks/closed_loop/loop_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace moeplan::reference {
namespace {

double error_of(double predicted, double measured) { return measured > 0 ? predicted / measured - 1 : 0; }

double median_error(const std::vector<StepPoint>& points) {
  std::vector<double> errors;
  for (const StepPoint& p : points) errors.push_back(std::abs(error_of(p.predicted, p.measured)));
  std::sort(errors.begin(), errors.end());
  return errors.empty() ? 0 : errors[errors.size() / 2];
}

std::string load_line(const char* what, double measured, double predicted, double scale, double mark) {
  const double error = error_of(predicted, measured);
  return fmt::format("  {:<22} {:>10.2f} {:>10.2f} {:>+8.1f} %  {}\n", what, measured * scale, predicted * scale, 100 * error, std::abs(error) <= mark ? "" : "MISSED");
}

constexpr const char* kOperationNames[kOperations] = {"products", "attention", "experts", "router", "element-wise", "head"};

/// Steps of one kind under load, replayed by the cost model as they were composed: which operation is off.
std::string replay_lines(const std::vector<StepComparison>& steps, bool with_prompts) {
  OperationSeconds measured{}, predicted{};
  double measured_all = 0, predicted_all = 0;
  int count = 0;
  std::vector<double> errors;
  for (const StepComparison& c : steps) {
    if ((c.step.prefill_tokens > 0) != with_prompts || c.step.disturbed) continue;
    ++count;
    measured_all += c.step.seconds;
    predicted_all += c.predicted_seconds;
    errors.push_back(std::abs(error_of(c.predicted_seconds, c.step.seconds)));
    for (std::size_t i = 0; i < kOperations; ++i) {
      measured[i] += c.step.operations[i];
      predicted[i] += c.predicted[i];
    }
  }
  if (count == 0) return "";
  std::sort(errors.begin(), errors.end());
  const double mean = 1e3 / count;
  std::string text = fmt::format("  {} steps {}, replayed: median error {:.1f} %; mean ms measured / predicted: {:.2f} / {:.2f}\n   ", count, with_prompts ? "with prompts" : "of decodes alone",
                                 100 * errors[errors.size() / 2], measured_all * mean, predicted_all * mean);
  for (std::size_t i = 0; i < kOperations; ++i) {
    if (measured[i] > 0) text += fmt::format(" {} {:.2f} / {:.2f}{}", kOperationNames[i], measured[i] * mean, predicted[i] * mean, i + 1 < kOperations ? "," : "");
  }
  return text + "\n";
}

constexpr double kWidth = 760, kHeight = 460, kLeft = 60, kRight = 60, kTop = 40, kBottom = 50;

struct Frame {
  double most_x, most_y;
  [[nodiscard]] double x(double v) const { return kLeft + v / most_x * (kWidth - kLeft - kRight); }
  [[nodiscard]] double y(double v) const { return kHeight - kBottom - v / most_y * (kHeight - kTop - kBottom); }
};

template <class Value>
std::string line(const Frame& frame, const std::vector<StepPoint>& points, const char* colour, bool dashed, const Value& value) {
  std::string path;
  for (const StepPoint& p : points) path += fmt::format("{:.1f},{:.1f} ", frame.x(p.batch), frame.y(value(p)));
  return fmt::format("<polyline fill='none' stroke='{}' stroke-width='2'{} points='{}'/>\n", colour, dashed ? " stroke-dasharray='6 4'" : "", path);
}

std::string label(double x, double y, const std::string& text, const char* anchor = "start", const char* colour = "#333") {
  return fmt::format("<text x='{:.1f}' y='{:.1f}' font-family='sans-serif' font-size='12' text-anchor='{}' fill='{}'>{}</text>\n", x, y, anchor, colour, text);
}

}  // namespace

std::string report_text(const std::vector<LoopResult>& results) {
  std::string text;
  for (const LoopResult& r : results) {
    text += fmt::format("{}: {:.0f} M parameters, {:.0f} M active, {:.0f} MB of weights\n", r.name, r.total_parameters / 1e6, r.active_parameters / 1e6,
                        static_cast<double>(r.weight_bytes) / 1e6);
    text += "  batch  context   measured    fastest  predicted     error   experts measured/predicted   steps (disturbed)\n";
    for (const StepPoint& p : r.steps) {
      text += fmt::format("  {:>5} {:>8.0f} {:>7.2f} ms {:>7.2f} ms {:>7.2f} ms {:>+7.1f} %  {:>16.2f} / {:.2f} {:>15} ({})\n", p.batch, p.context, p.measured * 1e3, p.fastest * 1e3,
                          p.predicted * 1e3, 100 * error_of(p.predicted, p.measured), p.distinct_measured, p.distinct_predicted, p.steps, p.disturbed);
    }
    const double steps = median_error(r.steps);
    text += fmt::format("  median error of the step time {:.1f} % {}\n", 100 * steps, steps <= 0.10 ? "" : " MISSED");
    const LoadPoint& l = r.load;
    text += fmt::format("  Poisson load {:.2f} requests/s, {} requests, mean decode batch {:.1f}, {} steps ({} disturbed)\n  {:.1f} s, another {:.1f} s during which others had the processor are left out\n  {:<22} {:>10} {:>10} {:>10}\n", l.rate, l.requests.size(),
                        l.mean_batch, l.steps.size(), l.disturbed_steps, l.seconds, l.taken, "", "measured", "predicted", "error");
    text += load_line("TTFT mean, ms", l.measured.ttft_mean, l.predicted.ttft_mean, 1e3, 0.15);
    text += load_line("TTFT median, ms", l.measured.ttft_p50, l.predicted.ttft_p50, 1e3, 0.15);
    text += load_line("TPOT mean, ms", l.measured.tpot_mean, l.predicted.tpot_mean, 1e3, 0.10);
    text += load_line("TPOT median, ms", l.measured.tpot_p50, l.predicted.tpot_p50, 1e3, 0.10);
    text += load_line("output tokens/s", l.measured.output_tokens_per_s, l.predicted.output_tokens_per_s, 1, 0.10);
    text += replay_lines(l.steps, false) + replay_lines(l.steps, true);
  }
  return text;
}

std::string steps_csv(const std::vector<LoopResult>& results) {
  std::string text = "model,batch,context,measured_ms,fastest_ms,predicted_ms,experts_measured,experts_predicted,steps,disturbed\n";
  for (const LoopResult& r : results) {
    for (const StepPoint& p : r.steps) {
      text += fmt::format("{},{},{:.1f},{:.4f},{:.4f},{:.4f},{:.3f},{:.3f},{},{}\n", r.name, p.batch, p.context, p.measured * 1e3, p.fastest * 1e3, p.predicted * 1e3, p.distinct_measured,
                          p.distinct_predicted, p.steps, p.disturbed);
    }
  }
  return text;
}

std::string load_csv(const std::vector<LoopResult>& results) {
  std::string text = "model,start_s,decodes,context,prefill_tokens,chunks,disturbed,measured_ms,predicted_ms";
  for (const char* name : kOperationNames) text += fmt::format(",{0}_measured_ms,{0}_predicted_ms", name);
  text += "\n";
  for (const LoopResult& r : results) {
    for (const StepComparison& c : r.load.steps) {
      const StepLog& s = c.step;
      text += fmt::format("{},{:.6f},{},{},{},{},{},{:.4f},{:.4f}", r.name, s.start, s.decode_sequences, s.decode_context, s.prefill_tokens, s.chunks.size(), s.disturbed ? 1 : 0,
                          s.seconds * 1e3, c.predicted_seconds * 1e3);
      for (std::size_t i = 0; i < kOperations; ++i) text += fmt::format(",{:.4f},{:.4f}", s.operations[i] * 1e3, c.predicted[i] * 1e3);
      text += "\n";
    }
  }
  return text;
}

std::string steps_svg(const std::vector<LoopResult>& results) {
  Frame time{1, 1e-9}, experts{1, 1};
  for (const LoopResult& r : results) {
    for (const StepPoint& p : r.steps) {
      time.most_x = experts.most_x = std::max<double>(time.most_x, p.batch);
      time.most_y = std::max({time.most_y, p.measured * 1.1e3, p.predicted * 1.1e3});
      experts.most_y = std::max({experts.most_y, p.distinct_measured * 1.1, p.distinct_predicted * 1.1});
    }
  }
  std::string svg = fmt::format("<svg xmlns='http://www.w3.org/2000/svg' width='{0}' height='{1}' viewBox='0 0 {0} {1}'>\n<rect width='100%' height='100%' fill='white'/>\n", kWidth, kHeight);
  svg += label(kLeft, 20, "Step time against batch: solid measured, dashed predicted; dotted colour: distinct experts per layer (right axis)");
  for (int i = 0; i <= 4; ++i) {
    const double share = i / 4.0, y = time.y(share * time.most_y);
    svg += fmt::format("<line x1='{}' x2='{}' y1='{:.1f}' y2='{:.1f}' stroke='#ddd'/>\n", kLeft, kWidth - kRight, y, y);
    svg += label(kLeft - 6, y + 4, fmt::format("{:.0f} ms", share * time.most_y), "end");
    svg += label(kWidth - kRight + 6, y + 4, fmt::format("{:.0f}", share * experts.most_y));
    svg += label(time.x(share * time.most_x), kHeight - kBottom + 18, fmt::format("{:.0f}", share * time.most_x), "middle");
  }
  svg += label(kWidth / 2, kHeight - 12, "sequences decoding", "middle");
  const char* const colours[] = {"#1f77b4", "#d62728"};
  for (std::size_t i = 0; i < results.size(); ++i) {
    const char* colour = colours[i % 2];
    svg += line(time, results[i].steps, colour, false, [](const StepPoint& p) { return p.measured * 1e3; });
    svg += line(time, results[i].steps, colour, true, [](const StepPoint& p) { return p.predicted * 1e3; });
    svg += label(kLeft + 10, kTop + 16 + 16 * static_cast<double>(i), results[i].name, "start", colour);
    if (results[i].steps.empty() || results[i].steps.front().distinct_measured == 0) continue;
    svg += line(experts, results[i].steps, "#2ca02c", false, [](const StepPoint& p) { return p.distinct_measured; });
    svg += line(experts, results[i].steps, "#2ca02c", true, [](const StepPoint& p) { return p.distinct_predicted; });
    svg += label(kLeft + 10, kTop + 48, "distinct experts", "start", "#2ca02c");
  }
  return svg + "</svg>\n";
}

}  // namespace moeplan::reference
