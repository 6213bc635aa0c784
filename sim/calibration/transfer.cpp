#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <type_traits>

#include "base/error.hpp"
#include "calibration/calibrate.hpp"
#include "calibration/error_summary.hpp"
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

/// Chips of one generation and one balance of compute to memory: their residuals agree within 1-7 % (measured: H100 and H200, B200 and GB200),
/// those of different generations do not.
const char* family_of(const std::string& gpu) {
  static const std::map<std::string, const char*> families = {
      {"a100-sxm-80", "GA100"},  {"a100-sxm-40", "GA100"},  {"a100-pcie-80", "GA100"}, {"a100-pcie-40", "GA100"}, {"h100-sxm", "GH100"},
      {"h100-pcie", "GH100"},    {"h100-nvl", "GH100"},     {"h200-sxm", "GH100"},     {"h800-sxm", "GH100"},     {"b200-sxm", "GB100"},
      {"gb200", "GB100"},        {"b300-sxm", "GB100"},     {"gb300", "GB100"},        {"l40s", "AD102"},         {"l4", "AD102"},
      {"rtx-6000-ada", "AD102"}, {"mi300x", "CDNA3"},       {"mi325x", "CDNA3"}};
  const auto at = families.find(gpu);
  return at == families.end() ? "" : at->second;
}

bool siblings(const std::string& a, const std::string& b) {
  const std::string family = family_of(a);
  return !family.empty() && family == family_of(b);
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

/// The kernel of a format measured on another device, an engine's where there is one.
const FittedKernel<GemmOperation>* counterpart_of_format(const std::vector<FittedKernel<GemmOperation>>& others, Precision format) {
  const FittedKernel<GemmOperation>* found = nullptr;
  for (const auto& o : others) {
    if (o.from.empty() && o.key.format == format && (!found || found->key.of_no_engine())) found = &o;
  }
  return found;
}

/// How much more of its peaks than a relative a device reaches, by the products measured on both: power and memory limits of a card bind every
/// format alike (L40S, 350 W: 0.55 of its 16 bit peak, RTX PRO 6000, 600 W: 0.82).
struct Attainment {
  double compute = 1;
  double bandwidth = 1;
};

/// Of `format` where that was measured on both, else of all such formats (geometric mean). Block-scaled kernels pad rows to wide tiles and say
/// nothing of the memory. The nearest relative's products speak for a device without its own.
Attainment attainment(const std::vector<FittedKernel<GemmOperation>>& own, const GpuSpec& gpu, const Neighbour& relative, Precision format) {
  double compute = 0, bandwidth = 0;
  int computes = 0, bandwidths = 0;
  const std::string nearest = relatives_of(gpu.id).front();
  for (const auto& k : own) {
    if (!k.from.empty() && k.from != nearest) continue;
    const auto* other = counterpart_of_format(relative.profile.of<GemmOperation>(), k.key.format);
    if (!other || k.from == relative.gpu.id) continue;
    const double reached = std::log(k.constants.ec / other->constants.ec);
    const double moved = std::log(k.constants.eb / other->constants.eb);
    if (k.key.format == format) return {std::exp(reached), format == Precision::kFp8Block ? 1.0 : std::exp(moved)};
    compute += reached;
    ++computes;
    if (k.key.format == Precision::kFp8Block) continue;
    bandwidth += moved;
    ++bandwidths;
  }
  return {computes > 0 ? std::exp(compute / computes) : 1.0, bandwidths > 0 ? std::exp(bandwidth / bandwidths) : 1.0};
}

/// Constants of products and experts as the device attains them, five digits.
template <class Constants>
void attain(Constants& c, const Attainment& a) {
  c.ec = five_digits(std::min(1.0, c.ec * a.compute));
  c.eb = five_digits(std::min(1.0, c.eb * a.bandwidth));
}

bool is_link_bound(const CollectiveOperation&) { return true; }
bool is_link_bound(const ExchangeOperation&) { return true; }
template <class Operation>
bool is_link_bound(const Operation&) { return false; }

/// Whether the target needs `k` no more: it has a kernel for the same purpose; from a sibling, of the same engine.
template <class Operation>
bool covered(const std::vector<FittedKernel<Operation>>& own, const FittedKernel<Operation>& k, bool engine_too) {
  return std::any_of(own.begin(), own.end(), [&](const auto& o) {
    if (!std::is_same_v<Operation, GemmOperation> && o.key.of_no_engine()) return false;
    return o.key.format == k.key.format && o.key.variant == k.key.variant && (!engine_too || o.key.engine() == k.key.engine());
  });
}

/// The same kernel of the same engine among those measured on another device; nothing when there is none.
template <class Operation>
const FittedKernel<Operation>* counterpart(const std::vector<FittedKernel<Operation>>& others, const FittedKernel<Operation>& k) {
  for (const auto& o : others) {
    const bool same = o.key.engine() == k.key.engine() && o.key.kernel == k.key.kernel && o.key.products == k.key.products;
    if (same && o.from.empty() && o.key.format == k.key.format && o.key.variant == k.key.variant) return &o;
  }
  return nullptr;
}

/// Who judges constants of a relative: its own relatives, then the measured generations. A sibling of the relative says nothing of a target of
/// another chip family.
std::vector<std::string> judges_of(const std::string& relative, const std::string& target) {
  std::vector<std::string> judges = relatives_of(relative);
  for (const char* generation : {"h200-sxm", "b200-sxm", "a100-sxm-80"}) judges.emplace_back(generation);
  std::erase_if(judges, [&](const std::string& judge) { return judge == relative || (siblings(judge, relative) && !siblings(target, relative)); });
  return judges;
}

/// What the constants (and residuals, between siblings) of the relative's own relatives show on the relative's rows.
template <class Operation>
void record_errors(FittedKernel<Operation>& copy, const FittedKernel<Operation>& original, const std::string& target, const Neighbour& relative,
                   const std::vector<KernelRows<Operation>>& rows, Neighbours& neighbours) {
  copy.left_out = "device (no other has this kernel)";
  copy.form_error = copy.table_error = {};
  const auto set = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.key == original.key; });
  if (set == rows.end()) return;
  const KernelDevice device = make_kernel_device(relative.gpu);
  for (const std::string& judge : judges_of(relative.gpu.id, target)) {
    const Neighbour* other = neighbours.find(judge);
    const auto* same = other ? counterpart(other->profile.of<Operation>(), original) : nullptr;
    if (!same) continue;
    copy.form_error = error_of(same->constants, ResidualTable{}, *set, device);
    copy.table_error = siblings(judge, relative.gpu.id) ? error_of(same->constants, same->table, *set, device) : copy.form_error;
    copy.left_out = "device (by " + judge + ")";
    return;
  }
}

template <class Operation>
void transfer(CostProfile& profile, const GpuSpec& gpu, const Neighbour& relative, Neighbours& neighbours) {
  std::vector<FittedKernel<Operation>>& own = profile.of<Operation>();
  const KernelDevice device = make_kernel_device(gpu);
  const KernelDevice relative_device = make_kernel_device(relative.gpu);
  const bool on_links = is_link_bound(Operation{});
  if (on_links && device.pcie_fabric != relative_device.pcie_fabric) return;
  const bool same_links = std::abs(device.scale_up / relative_device.scale_up - 1) < 0.05;
  const bool with_tables = siblings(gpu.id, relative.gpu.id) && (!on_links || same_links);
  const std::vector<FittedKernel<Operation>> before = own;
  const std::vector<FittedKernel<GemmOperation>> products = profile.of<GemmOperation>();
  std::vector<KernelRows<Operation>> rows;
  for (const auto& k : relative.profile.of<Operation>()) {
    if (!k.from.empty() || covered(before, k, with_tables)) continue;
    if (relative_device.quantises(k.key.format) && !device.quantises(k.key.format)) continue;
    // A library's products suit the same chip; elsewhere, and for experts, engines' own kernels are nearer.
    if (k.key.of_no_engine() && !(std::is_same_v<Operation, GemmOperation> && siblings(gpu.id, relative.gpu.id))) continue;
    if (rows.empty()) rows = read_measured<Operation>(neighbours.measured(relative.gpu.id));
    FittedKernel<Operation> copy = k;
    copy.from = relative.gpu.id;
    copy.worst.clear();
    if (!with_tables) copy.table = {};
    record_errors(copy, k, gpu.id, relative, rows, neighbours);
    if constexpr (std::is_same_v<Operation, GemmOperation> || std::is_same_v<Operation, MoeOperation>) {
      if (!siblings(gpu.id, relative.gpu.id)) attain(copy.constants, attainment(products, gpu, relative, k.key.format));
    }
    own.push_back(std::move(copy));
  }
}

template <class... Operations>
void transfer_all(CostProfile& profile, const GpuSpec& gpu, const Neighbour& relative, Neighbours& neighbours) {
  (transfer<Operations>(profile, gpu, relative, neighbours), ...);
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
  for (const std::string& id : relatives_of(gpu.id)) {
    const Neighbour* relative = neighbours.find(id);
    if (!relative) continue;
    transfer_all<GemmOperation, MoeOperation, DecodeOperation, PrefillOperation, MlaDecodeOperation, MlaPrefillOperation, CollectiveOperation,
                 ExchangeOperation>(profile, gpu, *relative, neighbours);
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
