// A typed cursor into a JSON document that knows where it is, so that every refusal can say so.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/precision.hpp"
#include "base/units.hpp"
#include "input/json_document.hpp"

namespace moeplan {

/// All getters throw InputError naming file and pointer when the value is missing or of the wrong kind. Two-argument forms return the
/// default when the key is absent (or null).
class JsonReader {
 public:
  /// The document must outlive the reader.
  explicit JsonReader(const JsonDocument& document);
  JsonReader(const nlohmann::json& value, std::string file, std::string pointer);

  [[nodiscard]] bool has(std::string_view key) const;  ///< present and not null
  [[nodiscard]] JsonReader at(std::string_view key) const;
  [[nodiscard]] std::vector<JsonReader> elements() const;                             ///< of an array
  [[nodiscard]] std::vector<std::pair<std::string, JsonReader>> members() const;      ///< of an object, in file order or sorted

  [[nodiscard]] std::string string(std::string_view key) const;
  [[nodiscard]] std::string string(std::string_view key, std::string_view fallback) const;
  [[nodiscard]] std::int64_t integer(std::string_view key) const;
  [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t fallback) const;
  [[nodiscard]] double number(std::string_view key) const;
  [[nodiscard]] double number(std::string_view key, double fallback) const;
  [[nodiscard]] bool boolean(std::string_view key, bool fallback) const;
  [[nodiscard]] std::vector<std::string> strings(std::string_view key) const;         ///< array of strings; empty when absent
  [[nodiscard]] Precision precision(std::string_view key) const;
  [[nodiscard]] Precision precision(std::string_view key, Precision fallback) const;

  // Text with a unit: "80 GB", "3.35 TB/s", "989 TFLOPS", "2 s", "8 /s", "700 W", "1.69 USD/h".
  [[nodiscard]] Bytes bytes(std::string_view key) const;
  [[nodiscard]] BytesPerSecond bandwidth(std::string_view key) const;
  [[nodiscard]] FlopsPerSecond flops_rate(std::string_view key) const;
  [[nodiscard]] Seconds duration(std::string_view key) const;
  [[nodiscard]] double rate_per_second(std::string_view key) const;
  [[nodiscard]] double watts(std::string_view key) const;

  [[nodiscard]] const nlohmann::json& value() const { return *value_; }
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] const std::string& pointer() const { return pointer_; }
  [[nodiscard]] std::string where() const;  ///< "file: /pointer"
  [[noreturn]] void fail(std::string_view what) const;  ///< throws InputError(where(), what)
  /// What `load()` gives, which reads the file named here: its complaints begin with this place.
  template <class Load>
  auto loaded(Load load) const {
    try {
      return load();
    } catch (const InputError& error) {
      throw InputError(where(), error.what());
    }
  }

 private:
  const nlohmann::json* value_;
  std::string file_;
  std::string pointer_;
};

}  // namespace moeplan
