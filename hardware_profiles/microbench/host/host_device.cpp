#include "host/host_device.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "host/matrix_product.hpp"

namespace moeplan::bench {
namespace {

/// The value behind "name : value" in a file of such lines; "" when there is none.
std::string field(const char* file, const std::string& name) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (!line.starts_with(name)) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t from = line.find_first_not_of(" \t", colon + 1);
    return from == std::string::npos ? "" : line.substr(from);
  }
  return "";
}

std::string first_line(const std::string& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

/// "32768K" -> bytes.
std::size_t size_text(const std::string& text) {
  const std::size_t number = std::strtoull(text.c_str(), nullptr, 10);
  if (text.ends_with("K")) return number << 10;
  if (text.ends_with("M")) return number << 20;
  return number;
}

std::size_t cache_of_level(int level) {
  std::size_t largest = 0;
  for (int index = 0; index < 8; ++index) {
    const std::string folder = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/", index);
    if (first_line(folder + "level") != std::to_string(level) || first_line(folder + "type") == "Instruction") continue;
    largest = std::max(largest, size_text(first_line(folder + "size")));
  }
  return largest;
}

}  // namespace

std::string id_from(const std::string& name) {
  std::string id;
  for (const char c : name) {
    const auto letter = static_cast<unsigned char>(c);
    if (std::isalnum(letter)) id += static_cast<char>(std::tolower(letter));
    else if (!id.empty() && id.back() != '-') id += '-';
  }
  while (!id.empty() && id.back() == '-') id.pop_back();
  return id.empty() ? "device" : id;
}

std::size_t last_level_cache() {
  for (const int level : {4, 3, 2}) {
    if (const std::size_t bytes = cache_of_level(level); bytes > 0) return bytes;
  }
  return std::size_t{32} << 20;
}

DeviceFacts host_facts(int threads) {
  DeviceFacts facts;
  facts.host = true;
  facts.name = field("/proc/cpuinfo", "model name");
  if (facts.name.empty()) facts.name = "processor";
  facts.vendor = field("/proc/cpuinfo", "vendor_id");
  if (facts.vendor.empty()) facts.vendor = "unknown";
  facts.architecture = "CPU";
  facts.id = fmt::format("host-{}-{}t", id_from(facts.name), threads);
  facts.memory_type = "host memory";
  facts.memory_bytes = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  facts.l2_bytes = static_cast<double>(cache_of_level(2));
  facts.last_level_bytes = static_cast<double>(last_level_cache());
  facts.multiprocessors = threads;
  facts.node_cpu = facts.name;
  facts.software = {{"onednn", onednn_version()}, {"compiler", fmt::format("gcc {}", __VERSION__)}};
  return facts;
}

Health host_health() {
  Health health;
  if (const std::string clock = field("/proc/cpuinfo", "cpu MHz"); !clock.empty()) health["clock_mhz"] = clock;
  const std::string load = first_line("/proc/loadavg");
  if (!load.empty()) health["load_average"] = load.substr(0, load.find(' '));
  return health;
}

long preemptions() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

}  // namespace moeplan::bench
