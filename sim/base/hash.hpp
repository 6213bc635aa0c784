// SHA-256 of the files a result rests on, so that a report can be traced to its exact inputs. The digest is libmd's.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace moeplan {

/// 64 lower-case hexadecimal digits. Throws InputError when the file cannot be read.
std::string sha256_of_file(const std::filesystem::path& file);

/// The same for bytes in memory.
std::string sha256_of(std::string_view bytes);

}  // namespace moeplan
