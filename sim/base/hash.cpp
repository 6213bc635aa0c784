#include "base/hash.hpp"

#include <sha2.h>

#include <array>
#include <fstream>
#include <vector>

#include "base/error.hpp"

namespace moeplan {
namespace {

void update(SHA2_CTX& context, std::string_view bytes) {
  SHA256Update(&context, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

std::string finish(SHA2_CTX& context) {
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256Final(digest.data(), &context);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t byte : digest) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace

std::string sha256_of_file(const std::filesystem::path& file) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) throw InputError(file.string(), "is a directory, not a file");
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw InputError(file.string(), std::filesystem::exists(file, error) ? "cannot be read" : "no such file");
  SHA2_CTX context;
  SHA256Init(&context);
  std::vector<char> buffer(1 << 16);
  while (stream) {
    stream.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    update(context, {buffer.data(), static_cast<std::size_t>(stream.gcount())});
  }
  if (stream.bad()) throw InputError(file.string(), "cannot be read");
  return finish(context);
}

std::string sha256_of(std::string_view bytes) {
  SHA2_CTX context;
  SHA256Init(&context);
  update(context, bytes);
  return finish(context);
}

}  // namespace moeplan
