#include "calibration/calibrate.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "calibration/kernel_costs.hpp"
#include "calibration/round_gpu.hpp"
#include "hardware/hardware_catalogue.hpp"
#include "input/csv.hpp"
#include "input/json_document.hpp"
#include "input/json_reader.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;

namespace {

const std::filesystem::path kProfiles = std::filesystem::path(MOEPLAN_SOURCE_DIR) / "hardware_profiles";

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

GpuSpec gpu_of(const std::string& id) { return load_gpu(kProfiles / "gpus" / (id + ".json"), {}); }

/// An empty folder of its own.
std::filesystem::path fresh_folder(const std::string& name) {
  static const test::TemporaryFolder all;
  const auto folder = all.path() / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

void write(const std::filesystem::path& file, const std::string& text) { std::ofstream(file) << text; }

/// Rows of the GEMM form with known constants on the round GPU.
std::string gemm_rows(const GemmConstants& c) {
  const KernelDevice device = make_kernel_device(testing::round_gpu());
  std::ostringstream rows;
  rows.precision(9);
  rows << "m,n,k,dtype,latency_us,framework\n";
  for (const double n : {1024.0, 2048.0, 4096.0, 8192.0}) {
    for (const double k : {1024.0, 4096.0, 8192.0}) {
      for (double m = 1; m < 20000; m *= 4) {
        rows << m << "," << n << "," << k << ",bf16," << gemm_us(c, device, {m, n, k, Precision::kBf16}) << ",test-1/kernel\n";
      }
    }
  }
  return rows.str();
}

}  // namespace

TEST_CASE("calibration finds the constants behind synthetic rows, and its table leaves almost no error on shapes left out") {
  const auto folder = fresh_folder("synthetic");
  write(folder / "gemm.csv", gemm_rows({.t0 = 6, .tk = 0.5, .ec = 0.7, .eb = 0.8, .p = 3, .k_half = 200}));
  const CostProfile profile = calibrate(folder, testing::round_gpu());
  REQUIRE(profile.of<GemmOperation>().size() == 1);
  const auto& kernel = profile.of<GemmOperation>().front();
  CHECK(kernel.constants.t0 == doctest::Approx(6).epsilon(0.05));
  CHECK(kernel.constants.ec == doctest::Approx(0.7).epsilon(0.05));
  CHECK(kernel.constants.eb == doctest::Approx(0.8).epsilon(0.05));
  CHECK(kernel.form_error.rows == 96);
  CHECK(kernel.table_error.p90 < 0.03);
}

TEST_CASE("uneven expert loads of few tokens fill no table: which experts they touched is not known") {
  const auto folder = fresh_folder("uneven");
  const GpuSpec gpu = testing::round_gpu();
  const KernelDevice device = make_kernel_device(gpu);
  const MoeConstants c{.t0 = 20, .ec = 0.5, .eb = 0.8, .p = 2};
  const auto shape = [](double tokens, int inter, double touched) {
    return MoeShape{.tokens = tokens, .pairs = 8 * tokens, .experts = touched, .hidden = 4096, .inter = inter, .local_experts = 64, .top_k = 8, .total_experts = 64};
  };
  std::ostringstream rows;
  rows.precision(9);
  rows << "tokens,hidden,inter,top_k,experts,tp,ep,pairs,touched,load_cv,routing,dtype,latency_us,framework\n";
  const auto row = [&](double tokens, int inter, double touched, double cv, double factor) {
    rows << tokens << ",4096," << inter << ",8,64,1,1," << 8 * tokens << "," << touched << "," << cv << "," << (cv > 0 ? "power_law_1.2" : "balanced") << ",bf16,"
         << factor * moe_us(c, device, shape(tokens, inter, touched)) << ",test-1/kernel\n";
  };
  for (const int inter : {256, 512, 1024, 2048, 4096, 8192}) {
    for (double tokens = 1; tokens < 20000; tokens *= 2) row(tokens, inter, std::min(64.0, 8 * tokens), 0, 1);
  }
  // One shape was measured with uneven loads only: 1.5 x the form at 64 tokens, and 3 x at 16 tokens, where more experts were touched than written down.
  row(16, 1536, 32, 1, 3);
  row(64, 1536, 64, 1, 1.5);
  row(128, 1536, 64, 1, 1.5);
  write(folder / "moe.csv", rows.str());
  const CostProfile profile = calibrate(folder, gpu);
  const KernelCosts costs = KernelCosts::from_profile(gpu, profile, {"test"});
  CHECK(costs.moe(shape(64, 1536, 64)).seconds * 1e6 == doctest::Approx(1.5 * moe_us(c, device, shape(64, 1536, 64))).epsilon(0.05));
  CHECK(costs.moe(shape(16, 1536, 32)).seconds * 1e6 < 2 * moe_us(c, device, shape(16, 1536, 32)));
}

TEST_CASE("a profile read back is the profile written") {
  const auto folder = fresh_folder("round_trip");
  write(folder / "gemm.csv", gemm_rows({.t0 = 6, .tk = 0.5, .ec = 0.7, .eb = 0.8, .p = 3, .k_half = 200}));
  const std::string text = to_json(calibrate(folder, testing::round_gpu()));
  write(folder / "round.json", text);
  CHECK(to_json(read_cost_profile(folder / "round.json")) == text);
}

TEST_CASE("measured element-wise kernels replace the generic share of the bandwidth, and a profile keeps it") {
  const auto folder = fresh_folder("elementwise");
  write(folder / "gemm.csv", gemm_rows({}));
  const CostProfile without = calibrate(folder, testing::round_gpu());
  CHECK(without.elementwise_bandwidth == 0);
  CHECK(to_json(without).find("elementwise") == std::string::npos);
  // 1 TB/s is 1e6 bytes per us: 1e6 bytes in 4, 5 and 10 us are shares of 0.25, 0.2 and 0.1.
  write(folder / "elementwise.csv", "tokens,bytes,dtype,latency_us,framework\n1,1000000,bf16,4,x\n4,1000000,bf16,5,x\n8,1000000,bf16,10,x\n");
  const CostProfile with = calibrate(folder, testing::round_gpu());
  CHECK(with.elementwise_bandwidth == doctest::Approx(0.2));
  write(folder / "fitted.json", to_json(with));
  CHECK(read_cost_profile(folder / "fitted.json").elementwise_bandwidth == doctest::Approx(0.2));
  const KernelTime generic = KernelCosts::from_profile(testing::round_gpu(), without, {}).elementwise(1e6);
  const KernelTime measured = KernelCosts::from_profile(testing::round_gpu(), with, {}).elementwise(1e6);
  CHECK(measured.seconds == doctest::Approx(5e-6));
  CHECK(generic.seconds == doctest::Approx(1e-6 / 0.75));
  CHECK(generic.origin == Origin::kDatasheet);
  CHECK(measured.origin == Origin::kInterpolated);
}

TEST_CASE("provenance tells which frameworks were measured under continuous load: all of a folder or those listed") {
  const auto folder = fresh_folder("sustained");
  const std::string own = gemm_rows({.t0 = 6, .ec = 0.7, .eb = 0.8});
  std::string rows = own;
  std::istringstream lines(own);
  std::string line;
  std::getline(lines, line);  // the header
  while (std::getline(lines, line)) rows += line.substr(0, line.rfind(',')) + ",other-2\n";
  write(folder / "gemm.csv", rows);
  const auto sustained = [&](const std::string& provenance) {
    write(folder / "provenance.json", provenance);
    const CostProfile profile = calibrate(folder, testing::round_gpu());
    write(folder / "fitted.json", to_json(profile));
    const CostProfile read = read_cost_profile(folder / "fitted.json");
    std::vector<bool> result;
    for (const auto& k : read.of<GemmOperation>()) result.push_back(k.sustained);
    return result;
  };
  CHECK(sustained("{}") == std::vector<bool>{false, false});
  CHECK(sustained(R"({"sustained": true})") == std::vector<bool>{true, true});
  CHECK(sustained(R"({"sustained": ["test-1"]})") == std::vector<bool>{false, true});
  CHECK(sustained(R"({"sustained": ["test-1/kernel", "other"]})") == std::vector<bool>{true, true});
  CHECK_THROWS_WITH_AS(sustained(R"({"sustained": "yes"})"), doctest::Contains("/sustained: found \"yes\", accepted: true, false or an array of frameworks"), InputError);
}

TEST_CASE("rows marked as disturbed are no measurements") {
  const auto folder = fresh_folder("disturbed");
  const std::string header = "tokens,bytes,dtype,latency_us,framework,mark\n", calm = "1,1000000,bf16,4,x,\n4,1000000,bf16,4,x,unstable\n";
  write(folder / "elementwise.csv", header + calm + "8,1000000,bf16,8000,x,disturbed\n9,1000000,bf16,8000,x,disturbed\n");
  CHECK(read_elementwise(folder).size() == 2);
  CHECK(count_disturbed(folder) == 2);
  std::string gemm = gemm_rows({});
  gemm.insert(gemm.find('\n'), ",mark");
  for (std::size_t at = gemm.find('\n') + 1; (at = gemm.find('\n', at)) != std::string::npos; at += 11) gemm.insert(at, ",disturbed");
  write(folder / "gemm.csv", gemm);
  CHECK(read_measured<GemmOperation>(folder).empty());
}

TEST_CASE("refitting a GPU from the committed tables gives its committed profile byte for byte") {
  for (const std::string id : {"mi300x", "rtx-4090", "h20", "l40s"}) {
    CAPTURE(id);
    const std::string refitted = to_json(make_profile(gpu_of(id), kProfiles / "measured" / id, kProfiles));
    CHECK(refitted == text_of(kProfiles / "fitted" / (id + ".json")));
  }
}

TEST_CASE("a measured row comes back from its profile as measured") {
  const auto costs_of = [](const char* framework) { return KernelCosts::from_profile(gpu_of("h100-sxm"), kProfiles / "fitted" / "h100-sxm.json", {framework}); };
  const KernelCosts sglang = costs_of("sglang"), cublas = costs_of("cublas");
  CsvReader csv(kProfiles / "measured" / "h100-sxm" / "gemm.csv");
  int checked = 0;
  for (int row = 0; csv.next(); ++row) {
    if (row % 1000 != 0) continue;
    const Precision format = *precision_from_string(csv.text(csv.column("dtype")));
    const KernelTime t = (csv.text(csv.column("framework")).starts_with("cublas") ? cublas : sglang).gemm({csv.number(csv.column("m")), csv.number(csv.column("n")), csv.number(csv.column("k")), format});
    CHECK(t.origin == Origin::kMeasured);
    CHECK(t.seconds * 1e6 == doctest::Approx(csv.number(csv.column("latency_us"))).epsilon(0.12));
    ++checked;
  }
  CHECK(checked > 30);
}

TEST_CASE("every committed profile is read and its GPU's costs respect the roofline") {
  int profiles = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kProfiles / "fitted")) {
    if (entry.path().extension() != ".json") continue;
    const GpuSpec gpu = gpu_of(entry.path().stem().string());
    const KernelCosts costs = KernelCosts::from_profile(gpu, entry.path(), {"vllm"});
    const KernelDevice device = make_kernel_device(gpu);
    for (const Precision p : kAllPrecisions) {
      const GemmShape shape{64, 4096, 4096, p};
      CHECK(costs.gemm(shape).seconds * 1e6 >= gemm_roofline_us(device, shape) * (1 - 1e-12));
    }
    ++profiles;
  }
  CHECK(profiles >= 20);
}

TEST_CASE("every folder of measured kernels has its provenance") {
  for (const auto& entry : std::filesystem::directory_iterator(kProfiles / "measured")) {
    if (!entry.is_directory()) continue;
    CAPTURE(entry.path().filename().string());
    CHECK(std::filesystem::exists(entry.path() / "provenance.json"));
    CHECK(std::filesystem::exists(kProfiles / "gpus" / (entry.path().filename().string() + ".json")));
  }
}

TEST_CASE("every table says how much of what, from where, under which licence and how it was measured") {
  for (const auto& folder : std::filesystem::directory_iterator(kProfiles / "measured")) {
    if (!folder.is_directory()) continue;
    const JsonDocument document = load_json(folder.path() / "provenance.json");
    const JsonReader provenance(document);
    if (provenance.string("measured_by", "").find("carried over") == std::string::npos) continue;
    CHECK_FALSE(provenance.string("device").empty());
    for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
      if (file.path().extension() != ".csv") continue;
      CAPTURE(file.path().string());
      const JsonReader table = provenance.at("files").at(file.path().filename().string());
      CsvReader csv(file.path());
      int rows = 0;
      while (csv.next()) ++rows;
      CHECK(table.integer("rows") == rows);
      CHECK_FALSE(table.strings("software").empty());
      for (const JsonReader& source : table.at("sources").elements()) {
        for (const char* field : {"source", "licence", "date"}) CHECK_FALSE(source.string(field).empty());
        const bool own = source.string("source").starts_with("moeplan-microbench");
        CHECK_FALSE(source.string(own ? "driver" : "commit").empty());
        CHECK_FALSE((own ? source : table).string("how").empty());
      }
    }
  }
}

TEST_CASE("a malformed row is refused with its file and line, an empty folder and a broken profile with their name") {
  const auto folder = fresh_folder("malformed");
  write(folder / "gemm.csv", "m,n,k,dtype,latency_us,framework\n1,64,64,bf16,3,a\n1,64,64,bf17,3,a\n");
  CHECK_THROWS_WITH_AS(calibrate(folder, testing::round_gpu()), doctest::Contains("gemm.csv:3"), InputError);
  write(folder / "gemm.csv", "m,n,k,dtype,latency_us,framework\n1,64,64,bf16,-3,a\n");
  CHECK_THROWS_WITH_AS(calibrate(folder, testing::round_gpu()), doctest::Contains("latency_us must be positive"), InputError);
  CHECK_THROWS_AS(calibrate(fresh_folder("empty"), testing::round_gpu()), InputError);
  write(folder / "broken.json", R"({"schema": "something else", "gpu": "x", "kernels": {}})");
  CHECK_THROWS_WITH_AS(read_cost_profile(folder / "broken.json"), doctest::Contains("not a cost profile"), InputError);
}

TEST_CASE("a GPU that nobody measured gets constants of its relatives, marked, and one without relatives is refused") {
  const CostProfile profile = make_profile(gpu_of("rtx-6000-ada"), kProfiles / "measured" / "rtx-6000-ada", kProfiles);
  REQUIRE_FALSE(profile.of<GemmOperation>().empty());
  for (const ErrorLine& line : error_lines(profile)) CHECK_FALSE(line.from.empty());
  CHECK(profile.of<GemmOperation>().front().from == "l40s");
  CHECK_THROWS_AS(make_profile(gpu_of("tpu-v5e"), kProfiles / "measured" / "tpu-v5e", kProfiles), InputError);
}

TEST_CASE("a GPU left out is judged on its own rows by constants of others") {
  const auto folder = kProfiles / "measured" / "mi300x";
  const GpuSpec gpu = gpu_of("mi300x");
  const auto lines = left_out_errors(read_cost_profile(kProfiles / "fitted" / "mi300x.json"), gpu, folder, kProfiles);
  REQUIRE(lines.size() == 3);
  for (const ErrorLine& line : lines) {
    CAPTURE(line.operation);
    CHECK(line.from == "mi355x");
    CHECK(line.table.rows > 30);
    CHECK(line.table.median > 0.04);  // never the error of its own constants, which leave nothing over on measured shapes
    CHECK(line.worst.size() == 5);
  }
  // Rows that are products without the rest of an expert layer are compared with nothing.
  for (const ErrorLine& line : left_out_errors(read_cost_profile(kProfiles / "fitted" / "h20.json"), gpu_of("h20"), kProfiles / "measured" / "h20", kProfiles)) {
    CHECK((line.table.rows == 0) == (line.operation == "moe"));
  }
}

TEST_CASE("the error of transferred constants is never that of a sibling where they come from another chip family") {
  const CostProfile profile = read_cost_profile(kProfiles / "fitted" / "rtx-5090.json");
  int judged = 0, unjudged = 0;
  for (const ErrorLine& line : error_lines(profile)) {
    if (line.from != "b200-sxm") continue;
    CAPTURE(line.operation + " " + line.kernel);
    CHECK(line.left_out.find("gb200") == std::string::npos);
    ++(line.table.rows > 0 ? judged : unjudged);
  }
  CHECK(judged > 0);
  CHECK(unjudged > 0);  // kernels that no other generation has: no error, so the generic width
}

TEST_CASE("far from what was measured a time grows no faster than the work and never falls") {
  for (const std::string id : {"h100-sxm", "b200-sxm", "l40s", "mi300x", "rtx-5090", "gaudi3"}) {
    CAPTURE(id);
    const auto fitted = kProfiles / "fitted" / (id + ".json");
    const KernelCosts costs = std::filesystem::exists(fitted) ? KernelCosts::from_profile(gpu_of(id), fitted, {"vllm"}) : KernelCosts::from_datasheet(gpu_of(id));
    // Tables end at 32,768 rows, 16,384 tokens and 131,072 keys.
    const auto grows = [](auto time, double from, double to) {
      for (double x = from; x < to; x *= 1.5) {
        CAPTURE(x);
        const double before = time(x).seconds, after = time(1.5 * x).seconds;
        CHECK(before > 0);
        CHECK(after >= before);
        CHECK(after <= before * 1.5 * 1.5 * 1.01);  // attention of one prompt grows with the square
      }
    };
    for (const Precision p : {Precision::kBf16, Precision::kFp8, Precision::kFp8Block, Precision::kInt4}) {
      CAPTURE(to_string(p));
      grows([&](double m) { return costs.gemm({m, 5000, 3000, p}); }, 40000, 4e6);
      grows([&](double tokens) {
        return costs.moe({.tokens = tokens, .pairs = 4 * tokens, .experts = 48, .hidden = 3000, .inter = 900, .local_experts = 48, .top_k = 4, .total_experts = 48, .weights = p});
      }, 200000, 2e7);
    }
    for (const Precision p : {Precision::kBf16, Precision::kFp8}) {
      grows([&](double keys) { return costs.decode_attention({8, keys, 24, 3, 128, p}); }, 4e6, 1e9);
      grows([&](double tokens) { return costs.prefill_attention({tokens, 0, 24, 3, 128, p}); }, 300000, 1e7);
      grows([&](double keys) { return costs.mla_decode({.sequences = 8, .context = keys, .heads = 24, .kv = p}); }, 4e6, 1e9);
      grows([&](double tokens) { return costs.mla_prefill({.tokens = tokens, .heads = 24, .kv = p}); }, 300000, 1e7);
    }
    grows([&](double bytes) { return costs.collective({CollectiveKind::kAllReduce, bytes, 4, 1, true}); }, 2e9, 1e12);
  }
}

TEST_CASE("constants of a relative are scaled by the products measured on both: a card that is not power limited reaches more of its peak") {
  const auto product = [](const CostProfile& p, Precision format) {
    for (const auto& k : p.of<GemmOperation>()) {
      if (k.key.format == format) return k;
    }
    return FittedKernel<GemmOperation>{};
  };
  const CostProfile l40s = read_cost_profile(kProfiles / "fitted" / "l40s.json");
  const CostProfile rtx = read_cost_profile(kProfiles / "fitted" / "rtx-pro-6000-server.json");
  const auto from = product(l40s, Precision::kFp8);
  const auto to = product(rtx, Precision::kFp8);
  CHECK(to.from == "l40s");
  const double ratio = product(rtx, Precision::kBf16).constants.ec / product(l40s, Precision::kBf16).constants.ec;
  CHECK(ratio > 1.3);
  CHECK(to.constants.ec == doctest::Approx(from.constants.ec * ratio).epsilon(1e-4));
  // Siblings take constants as they are.
  CHECK(product(read_cost_profile(kProfiles / "fitted" / "rtx-6000-ada.json"), Precision::kFp8).constants.ec == from.constants.ec);
}
