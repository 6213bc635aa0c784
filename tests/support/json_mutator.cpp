#include "support/json_mutator.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/random.hpp"

namespace moeplan::test {
namespace {

using Json = nlohmann::ordered_json;

// A doubled key needs text that no JSON object in memory can hold: it is written under this name and put right afterwards.
const std::string kTwinMark = "__twin__";

class Mutator {
 public:
  Mutator(const std::string& text, std::uint64_t seed) : random_(seed, "test/json_mutator"), text_(text) {}

  std::string run() {
    const std::uint32_t changes = 1 + random_.below(3);
    if (random_.below(2) == 0) {
      for (std::uint32_t i = 0; i < changes; ++i) change_bytes();
    } else {
      root_ = Json::parse(text_, nullptr, true, true);
      for (std::uint32_t i = 0; i < changes; ++i) change_content();
      text_ = with_twins(root_.dump(2, ' ', false, Json::error_handler_t::replace));
    }
    return text_;
  }

 private:
  std::size_t below(std::size_t n) { return random_.below(static_cast<std::uint32_t>(n)); }

  void change_bytes() {
    if (text_.empty()) return;
    const std::size_t at = below(text_.size());
    const std::size_t length = 1 + below(std::min<std::size_t>(20, text_.size() - at));
    switch (random_.below(7)) {
      case 0: text_[at] = static_cast<char>(text_[at] ^ (1 << random_.below(8))); break;
      case 1: text_[at] = static_cast<char>(random_.below(256)); break;
      case 2: text_.erase(at, length); break;
      case 3: text_.insert(at, text_.substr(at, length)); break;
      case 4: text_.resize(at); break;
      case 5: text_.insert(at, 1, std::string("{}[]\",:\\/-+.eE0n\n")[below(17)]); break;
      default: text_.insert(at, std::string(1 + below(400), "[{\"9"[below(4)])); break;
    }
  }

  // All places of the document: pointers to the root, objects, arrays and leaves.
  static void collect(const Json::json_pointer& place, const Json& value, std::vector<Json::json_pointer>& out) {
    out.push_back(place);
    if (value.is_object()) {
      for (const auto& [key, child] : value.items()) collect(place / key, child, out);
    } else if (value.is_array()) {
      for (std::size_t i = 0; i < value.size(); ++i) collect(place / i, value[i], out);
    }
  }

  void change_content() {
    std::vector<Json::json_pointer> places;
    collect(Json::json_pointer(), root_, places);
    Json& value = root_.at(places[below(places.size())]);
    switch (random_.below(6)) {
      case 0: value = hostile_value(); break;
      case 1: change_keys(value); break;
      case 2: change_keys(root_.at(parent_of_random_leaf(places))); break;
      case 3: {
        Json copy = root_.at(places[below(places.size())]);
        value = std::move(copy);
        break;
      }
      default: distort(value); break;
    }
  }

  // Leaves are many and objects few: going through a leaf's parent visits deep objects as often as they have members.
  Json::json_pointer parent_of_random_leaf(const std::vector<Json::json_pointer>& places) {
    const Json::json_pointer& place = places[below(places.size())];
    return place.empty() ? place : place.parent_pointer();
  }

  void change_keys(Json& object) {
    if (!object.is_object() || object.empty()) {
      distort(object);
      return;
    }
    auto member = object.begin();
    std::advance(member, static_cast<std::ptrdiff_t>(below(object.size())));
    const std::string key = member.key();
    switch (random_.below(4)) {
      case 0: object.erase(key); break;
      case 1: object[misspelt(key)] = member.value(); break;
      case 2: object[kTwinMark + key] = random_.below(2) == 0 ? Json(member.value()) : hostile_value(); break;
      default: {
        Json moved = member.value();
        object.erase(key);
        object[misspelt(key)] = std::move(moved);
      }
    }
  }

  std::string misspelt(std::string key) {
    if (key.empty()) return "x";
    const std::size_t at = below(key.size());
    switch (random_.below(3)) {
      case 0: return key.erase(at, 1);
      case 1: return key.insert(at, 1, key[at]);
      default: key[at] = static_cast<char>('a' + below(26)); return key;
    }
  }

  // Keeps the kind of the value and spoils its content.
  void distort(Json& value) {
    if (value.is_number()) {
      constexpr std::array<double, 8> kFactors = {-1, 0, 0.5, 1e-9, 1e3, 1e9, 1e30, 1e300};
      const double spoilt = value.get<double>() * kFactors[below(kFactors.size())];
      const bool keep_integer = value.is_number_integer() && std::abs(spoilt) < 9e18;
      if (keep_integer) value = static_cast<std::int64_t>(spoilt);
      else value = spoilt;
    } else if (value.is_string()) {
      value = distorted_text(value.get<std::string>());
    } else if (value.is_boolean()) {
      value = !value.get<bool>();
    } else if (value.is_array() && !value.empty()) {
      if (random_.below(2) == 0) value.erase(below(value.size()));
      else value.push_back(Json(value[below(value.size())]));
    } else {
      value = hostile_value();
    }
  }

  std::string distorted_text(std::string text) {
    const auto space = text.find(' ');
    switch (random_.below(8)) {
      case 0: return text.substr(0, space);                                              // the unit is gone
      case 1: return space == std::string::npos ? "" : text.substr(space);               // the number is gone
      case 2: return "-" + text;
      case 3: return "1e300" + (space == std::string::npos ? text : text.substr(space));
      case 4: return "nan" + (space == std::string::npos ? text : text.substr(space));
      case 5: return "0" + (space == std::string::npos ? text : text.substr(space));
      case 6: return "../../" + text + "/..";
      default: return misspelt(std::move(text));
    }
  }

  Json hostile_value() {
    switch (random_.below(17)) {
      case 0: return nullptr;
      case 1: return true;
      case 2: return "";
      case 3: return "x";
      case 4: return -1;
      case 5: return 0;
      case 6: return 1e308;
      case 7: return -1e308;
      case 8: return 5e-324;
      case 9: return std::numeric_limits<std::int64_t>::max();
      case 10: return std::numeric_limits<std::uint64_t>::max();
      case 11: return std::numeric_limits<std::int64_t>::min();
      case 12: return Json::array();
      case 13: return Json::object();
      case 14: return std::string("nul\0 and \xF0\x9F\x98\x80", 13);
      case 15: return std::string(30'000, 'a');
      default: {
        Json nest = 1;
        for (std::size_t depth = below(300); depth > 0; --depth) nest = Json::array({std::move(nest)});
        return nest;
      }
    }
  }

  static std::string with_twins(std::string text) {
    for (auto at = text.find(kTwinMark); at != std::string::npos; at = text.find(kTwinMark)) text.erase(at, kTwinMark.size());
    return text;
  }

  RandomStream random_;
  std::string text_;
  Json root_;
};

}  // namespace

std::string mutated_json(const std::string& text, std::uint64_t seed) { return Mutator(text, seed).run(); }

}  // namespace moeplan::test
