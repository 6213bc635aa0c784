#include <algorithm>
#include <map>
#include <optional>

#include "base/error.hpp"
#include "calibration/calibrate.hpp"
#include "calibration/fit_kernel.hpp"
#include "hardware/hardware_catalogue.hpp"

namespace moeplan {
namespace {

struct Relatives {
  const char* gpu;
  std::vector<std::string> nearest;
};

const std::vector<Relatives>& relatives_table() {
  static const std::vector<Relatives> table = {
      {"a100-sxm-80", {"h100-sxm"}},
      {"a100-sxm-40", {"a100-sxm-80"}},
      {"a100-pcie-40", {"a100-sxm-80", "rtx-pro-6000-server"}},
      {"a100-pcie-80", {"a100-sxm-80", "rtx-pro-6000-server"}},
      {"a10g", {"a100-sxm-80", "l40s", "rtx-pro-6000-server"}},
      {"h100-sxm", {"h200-sxm"}},
      {"h100-pcie", {"h100-sxm", "rtx-pro-6000-server"}},
      {"h100-nvl", {"h100-sxm", "h200-sxm"}},
      {"h200-sxm", {"h100-sxm"}},
      {"h800-sxm", {"h100-sxm"}},
      {"h20", {"h100-sxm", "h200-sxm"}},
      {"b200-sxm", {"gb200", "h200-sxm"}},
      {"gb200", {"b200-sxm", "h200-sxm"}},
      {"b300-sxm", {"b200-sxm", "gb200"}},
      {"gb300", {"gb200", "b200-sxm"}},
      {"l40s", {"rtx-pro-6000-server", "h100-sxm"}},
      {"l4", {"l40s", "rtx-pro-6000-server"}},
      {"rtx-6000-ada", {"l40s", "rtx-pro-6000-server"}},
      {"rtx-4090", {"l40s", "rtx-pro-6000-server"}},
      {"rtx-5090", {"rtx-pro-6000-server", "l40s", "b200-sxm"}},
      {"rtx-pro-6000-server", {"l40s", "b200-sxm"}},
      {"mi300x", {"mi355x"}},
      {"mi325x", {"mi300x", "mi355x"}},
      {"mi355x", {"mi300x"}},
      {"mi250x", {"mi300x", "mi355x"}},
  };
  return table;
}

/// The same silicon under another memory, link or power limit keeps its kernels' residuals.
bool same_chip(const std::string& gpu, const std::string& relative) {
  static const std::map<std::string, std::string> chips = {{"a100-sxm-40", "a100-sxm-80"}, {"h800-sxm", "h100-sxm"}};
  const auto at = chips.find(gpu);
  return at != chips.end() && at->second == relative;
}

struct Neighbour {
  GpuSpec gpu;
  CostProfile profile;
};

/// Relatives read once per call of add_transferred.
class Neighbours {
 public:
  explicit Neighbours(std::filesystem::path root) : root_(std::move(root)) {}

  const Neighbour* find(const std::string& id) {
    const auto [at, added] = read_.try_emplace(id);
    const auto fitted = root_ / "fitted" / (id + ".json");
    const auto spec = root_ / "gpus" / (id + ".json");
    if (added && std::filesystem::exists(fitted) && std::filesystem::exists(spec)) {
      at->second = Neighbour{load_gpu(spec, {}), read_cost_profile(fitted)};
    }
    return at->second ? &*at->second : nullptr;
  }
  [[nodiscard]] std::filesystem::path measured(const std::string& id) const { return root_ / "measured" / id; }

 private:
  std::filesystem::path root_;
  std::map<std::string, std::optional<Neighbour>> read_;
};

bool is_link_bound(const CollectiveOperation&) { return true; }
bool is_link_bound(const ExchangeOperation&) { return true; }
template <class Operation>
bool is_link_bound(const Operation&) { return false; }

/// A kernel of the target that serves the same purpose; on the same chip the engine must be the same too.
template <class Operation>
bool covered(const std::vector<FittedKernel<Operation>>& own, const FittedKernel<Operation>& k, bool engine_too) {
  return std::any_of(own.begin(), own.end(), [&](const auto& o) {
    return o.key.format == k.key.format && o.key.variant == k.key.variant && (!engine_too || o.key.engine() == k.key.engine());
  });
}

/// The kernel of `others` most like `k`: same engine and kernel, else same engine, else any of its format; nothing otherwise.
template <class Operation>
const FittedKernel<Operation>* counterpart(const std::vector<FittedKernel<Operation>>& others, const FittedKernel<Operation>& k) {
  const FittedKernel<Operation>* best = nullptr;
  int best_score = -1;
  for (const auto& o : others) {
    if (!o.from.empty() || o.key.format != k.key.format || o.key.variant != k.key.variant) continue;
    const int score = (o.key.engine() == k.key.engine() ? 1 : 0) + (o.key.kernel == k.key.kernel ? 2 : 0) + (o.key.products == k.key.products ? 1 : 0);
    if (score > best_score) {
      best_score = score;
      best = &o;
    }
  }
  return best;
}

template <class Operation>
void transfer(std::vector<FittedKernel<Operation>>& own, const KernelDevice& device, const std::string& gpu, const Neighbour& relative,
              Neighbours& neighbours) {
  const KernelDevice relative_device = make_kernel_device(relative.gpu);
  if (is_link_bound(Operation{}) && device.pcie_fabric != relative_device.pcie_fabric) return;
  const bool chip = same_chip(gpu, relative.gpu.id);
  const std::vector<FittedKernel<Operation>> before = own;
  std::vector<KernelRows<Operation>> rows;
  for (const auto& k : relative.profile.of<Operation>()) {
    if (!k.from.empty() || covered(before, k, chip)) continue;
    if (relative_device.quantises(k.key.format) && !device.quantises(k.key.format)) continue;
    FittedKernel<Operation> copy = k;
    copy.from = relative.gpu.id;
    copy.worst.clear();
    if (!chip || is_link_bound(Operation{})) copy.table = {};
    if (!chip) {
      copy.left_out = "device";
      copy.form_error = copy.table_error = {};
      for (const std::string& judge : relatives_of(relative.gpu.id)) {
        const Neighbour* other = neighbours.find(judge);
        const auto* same = other ? counterpart(other->profile.of<Operation>(), k) : nullptr;
        if (!same) continue;
        if (rows.empty()) rows = read_measured<Operation>(neighbours.measured(relative.gpu.id));
        const auto set = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.key == k.key; });
        if (set == rows.end()) continue;
        copy.form_error = copy.table_error = form_error<Operation>(same->constants, *set, relative_device);
        copy.left_out = "device (by " + judge + ")";
        break;
      }
    }
    own.push_back(std::move(copy));
  }
}

}  // namespace

std::vector<std::string> relatives_of(const std::string& gpu) {
  for (const Relatives& entry : relatives_table()) {
    if (gpu == entry.gpu) return entry.nearest;
  }
  return {};
}

void add_transferred(CostProfile& profile, const GpuSpec& gpu, const std::filesystem::path& hardware_profiles) {
  Neighbours neighbours(hardware_profiles);
  const KernelDevice device = make_kernel_device(gpu);
  for (const std::string& id : relatives_of(gpu.id)) {
    const Neighbour* relative = neighbours.find(id);
    if (!relative) continue;
    std::apply([&](auto&... own) { (transfer(own, device, gpu.id, *relative, neighbours), ...); }, profile.kernels);
  }
}

CostProfile make_profile(const GpuSpec& gpu, const std::filesystem::path& measured, const std::filesystem::path& hardware_profiles) {
  CostProfile profile;
  profile.gpu = gpu.id;
  if (std::filesystem::is_directory(measured)) profile = calibrate(measured, gpu);
  add_transferred(profile, gpu, hardware_profiles);
  if (error_lines(profile).empty()) throw InputError(measured.string(), "no measured kernels, and no measured relative of '" + gpu.id + "' is known");
  return profile;
}

}  // namespace moeplan
