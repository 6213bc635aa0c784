// Matrix products of the host by oneDNN: weights packed once into the library's own layout, one primitive per number of rows, made on first use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace moeplan::bench {

/// kInt8: unsigned 8 bit times signed 8 bit weights into 32 bit integers; the others give their own format.
enum class HostFormat : std::uint8_t { kFp32, kBf16, kInt8 };

class MatrixProduct {
 public:
  /// out[m][n] = a[m][k] w[k][n]. Throws Unsupported where the library has no fast kernel for the format on this processor.
  MatrixProduct(int n, int k, HostFormat format);
  ~MatrixProduct();
  MatrixProduct(MatrixProduct&&) noexcept;
  MatrixProduct& operator=(MatrixProduct&&) noexcept;

  /// Rows that are really computed for m: the next multiple of 4 (of 64 beyond 256). One to three rows run no faster than four,
  /// and serving engines pad likewise.
  static int rows(int m);
  [[nodiscard]] std::size_t packed_bytes() const;
  /// Packs plain weights [n][k] (one row per output) to 64-byte aligned `packed`.
  void pack(std::span<const float> plain, void* packed) const;
  /// Reads and writes rows(m) rows.
  void run(int m, const void* a, const void* packed, void* out);

  [[nodiscard]] int outputs() const;
  [[nodiscard]] int inputs() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// "2.6.3".
std::string onednn_version();
/// Threads of this library and of the own loops.
void use_threads(int threads);
/// Whether products of the format run on this processor by a fast kernel.
bool supports(HostFormat format);

}  // namespace moeplan::bench
