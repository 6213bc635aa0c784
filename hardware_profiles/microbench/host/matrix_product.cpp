#include "host/matrix_product.hpp"

#include <fmt/format.h>
#include <omp.h>

#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "suite/backend.hpp"
#include "suite/numerics.hpp"

namespace moeplan::bench {
namespace {

using dnnl::memory;

dnnl::engine& engine() {
  static dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

struct Types {
  memory::data_type a, weights, out;
};
Types types_of(HostFormat format) {
  using enum memory::data_type;
  switch (format) {
    case HostFormat::kFp32: return {f32, f32, f32};
    case HostFormat::kBf16: return {bf16, bf16, bf16};
    case HostFormat::kInt8: break;
  }
  return {u8, s8, s32};
}

constexpr int kLayoutRows = 32;  // the packed layout is the one the library likes for a batch of this size

dnnl::matmul::primitive_desc describe(int m, int n, int k, HostFormat format, const memory::desc* packed) {
  const Types types = types_of(format);
  const memory::desc a({m, k}, types.a, memory::format_tag::ab), out({m, n}, types.out, memory::format_tag::ab);
  const memory::desc weights = packed ? *packed : memory::desc({k, n}, types.weights, memory::format_tag::any);
  return {dnnl::matmul::desc(a, weights, out), engine()};
}

struct Prepared {
  dnnl::matmul product;
  memory a, weights, out;
  std::unordered_map<int, memory> arguments;
};

}  // namespace

struct MatrixProduct::Impl {
  int n, k;
  HostFormat format;
  memory::desc packed;
  dnnl::stream stream{engine()};
  std::map<int, Prepared> by_rows;

  Prepared& prepared(int m) {
    const auto found = by_rows.find(m);
    if (found != by_rows.end()) return found->second;
    const auto description = describe(m, n, k, format, &packed);
    Prepared p{dnnl::matmul(description), memory(description.src_desc(), engine(), nullptr), memory(packed, engine(), nullptr),
               memory(description.dst_desc(), engine(), nullptr), {}};
    p.arguments = {{DNNL_ARG_SRC, p.a}, {DNNL_ARG_WEIGHTS, p.weights}, {DNNL_ARG_DST, p.out}};
    return by_rows.emplace(m, std::move(p)).first->second;
  }
};

MatrixProduct::MatrixProduct(int n, int k, HostFormat format) : impl_(std::make_unique<Impl>()) {
  impl_->n = n;
  impl_->k = k;
  impl_->format = format;
  try {
    const auto description = describe(kLayoutRows, n, k, format, nullptr);
    if (std::string(description.impl_info_str()).find("ref") != std::string::npos) throw Unsupported("oneDNN has no fast kernel for this format here");
    impl_->packed = description.weights_desc();
  } catch (const dnnl::error& error) {
    throw Unsupported(fmt::format("oneDNN: {}", error.what()));
  }
}
MatrixProduct::~MatrixProduct() = default;
MatrixProduct::MatrixProduct(MatrixProduct&&) noexcept = default;
MatrixProduct& MatrixProduct::operator=(MatrixProduct&&) noexcept = default;

int MatrixProduct::rows(int m) {
  const int step = m <= 256 ? 4 : 64;
  return (m + step - 1) / step * step;
}

std::size_t MatrixProduct::packed_bytes() const { return impl_->packed.get_size(); }
int MatrixProduct::outputs() const { return impl_->n; }
int MatrixProduct::inputs() const { return impl_->k; }

void MatrixProduct::pack(std::span<const float> plain, void* packed) const {
  const memory::data_type type = types_of(impl_->format).weights;
  std::vector<float> copy(plain.begin(), plain.end());
  memory from({{impl_->k, impl_->n}, memory::data_type::f32, memory::format_tag::ba}, engine(), copy.data());
  // The reorder of int8 goes by way of its plain layout: not every packed layout can be written from fp32.
  memory narrow({{impl_->k, impl_->n}, type, memory::format_tag::ba}, engine());
  memory to(impl_->packed, engine(), packed);
  dnnl::reorder(from, narrow).execute(impl_->stream, from, narrow);
  dnnl::reorder(narrow, to).execute(impl_->stream, narrow, to);
  impl_->stream.wait();
}

void MatrixProduct::run(int m, const void* a, const void* packed, void* out) {
  Prepared& p = impl_->prepared(rows(m));
  p.a.set_data_handle(const_cast<void*>(a));  // NOLINT: the library takes no pointer to const
  p.weights.set_data_handle(const_cast<void*>(packed));  // NOLINT
  p.out.set_data_handle(out);
  p.product.execute(impl_->stream, p.arguments);
  impl_->stream.wait();
}

std::string onednn_version() {
  const dnnl_version_t* v = dnnl_version();
  return fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
}

void use_threads(int threads) { omp_set_num_threads(threads); }

bool supports(HostFormat format) {
  try {
    const MatrixProduct probe(64, 64, format);
    return true;
  } catch (const Unsupported&) {
    return false;
  }
}

}  // namespace moeplan::bench
