#include "base/hash.hpp"

#include <doctest/doctest.h>

#include "support/input_error.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;

TEST_CASE("digests are those of FIPS 180-4's examples") {
  CHECK(sha256_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("a file has the digest of its bytes, also past one buffer") {
  const test::TemporaryFolder folder;
  const std::string million(1'000'000, 'a');
  CHECK(sha256_of_file(folder.write("m", million)) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  CHECK(sha256_of_file(folder.write("e", "")) == sha256_of(""));
  CHECK(test::complaint_of([&] { sha256_of_file(folder.path() / "none"); }).ends_with("none: no such file"));
  CHECK(test::complaint_of([&] { sha256_of_file(folder.path()); }).ends_with("is a directory, not a file"));
}
