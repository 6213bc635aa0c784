#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "workload/trace_format.hpp"

namespace moeplan {
namespace {

// The hash_ids (512-token prefix blocks) are checked to be there in the right shape or not at all; they are kept only for who asks.
class MooncakeJsonl final : public TraceFormat {
 public:
  explicit MooncakeJsonl(const std::filesystem::path& file) : name_(file.string()), in_(file) {
    if (!in_) throw InputError(name_, "cannot be read");
  }

  bool next(TraceRow& row) override {
    do {
      if (!std::getline(in_, text_)) return false;
      ++line_;
    } while (text_.find_first_not_of(" \t\r") == std::string::npos);
    const auto json = nlohmann::json::parse(text_, nullptr, false);
    if (!json.is_object()) throw InputError(where(), "not a JSON object; accepted: timestamp, input_length, output_length, hash_ids");
    row = TraceRow{};
    row.arrival = checked_arrival(number(json, "timestamp") * 1e-3, where());
    row.prompt_tokens = tokens(json, "input_length");
    row.output_tokens = tokens(json, "output_length");
    const auto ids = json.find("hash_ids");
    if (ids != json.end() && !ids->is_array()) throw InputError(where(), "hash_ids must be an array");
    row.largest_block = 0;
    if (ids != json.end()) {
      check_block_count(static_cast<std::int64_t>(ids->size()), row.prompt_tokens, [this] { return where(); }, "hash_ids");
      for (const auto& id : *ids) row.largest_block = std::max(row.largest_block, block(id));
    }
    if (keep_blocks_ && ids != json.end()) read_blocks(*ids, row);
    return true;
  }
  [[nodiscard]] std::string where() const override { return name_ + ":" + std::to_string(line_); }
  void keep_blocks() override { keep_blocks_ = true; }

 private:
  [[nodiscard]] std::uint32_t block(const nlohmann::json& id) const {
    constexpr std::uint64_t kMost = 1U << 31;
    if (id.is_number_unsigned() && id.get<std::uint64_t>() <= kMost) return id.get<std::uint32_t>();
    throw InputError(where(), "hash_ids must be whole numbers from 0 to " + std::to_string(kMost));
  }
  void read_blocks(const nlohmann::json& ids, TraceRow& row) const {
    row.blocks.reserve(ids.size());
    for (const auto& id : ids) {
      row.blocks.push_back(block(id));
    }
  }
  [[nodiscard]] double number(const nlohmann::json& json, const char* key) const {
    const auto it = json.find(key);
    if (it == json.end() || !it->is_number()) throw InputError(where(), std::string(key) + " is missing or not a number");
    return it->get<double>();
  }
  [[nodiscard]] std::int32_t tokens(const nlohmann::json& json, const char* key) const {
    const auto it = json.find(key);
    if (it == json.end() || !it->is_number_integer()) throw InputError(where(), std::string(key) + " is missing or not a whole number");
    const bool huge = it->is_number_unsigned() && it->get<std::uint64_t>() > static_cast<std::uint64_t>(kMaxTokens);
    return checked_tokens(huge ? std::int64_t{kMaxTokens} + 1 : it->get<std::int64_t>(), where(), key);
  }

  std::string name_;
  std::ifstream in_;
  std::string text_;
  std::size_t line_ = 0;
  bool keep_blocks_ = false;
};

}  // namespace

std::unique_ptr<TraceFormat> open_mooncake_trace(const std::filesystem::path& file) { return std::make_unique<MooncakeJsonl>(file); }

}  // namespace moeplan
