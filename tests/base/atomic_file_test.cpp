#include "base/atomic_file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "support/input_error.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using test::complaint_of;
using test::slurp;
using test::TemporaryFolder;

namespace {
std::size_t entries(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}
}  // namespace

TEST_CASE("the target keeps its old content until the commit and then has the new one, whole") {
  const TemporaryFolder folder;
  const auto target = folder.write("r.json", "old");
  const std::string text(200'000, 'x');
  AtomicFile file(target);
  file.write(text);
  CHECK(slurp(target) == "old");
  file.write("end");
  file.commit();
  CHECK(slurp(target) == text + "end");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("without a commit nothing is left behind and the target is as it was") {
  const TemporaryFolder folder;
  const auto target = folder.write("r.json", "old");
  { AtomicFile(target).write("new"); }
  CHECK(slurp(target) == "old");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("a new file gets usual permissions and an old one keeps its own") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "plain") << "x";
  write_file(folder.path() / "new", "x");
  const auto mode = [](const std::filesystem::path& file) { return std::filesystem::status(file).permissions(); };
  CHECK(mode(folder.path() / "new") == mode(folder.path() / "plain"));
  std::filesystem::permissions(folder.path() / "new", std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  write_file(folder.path() / "new", "y");
  CHECK(mode(folder.path() / "new") == (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
}

TEST_CASE("a symbolic link stays a link and its file is replaced") {
  const TemporaryFolder folder;
  const auto real = folder.write("real", "old");
  std::filesystem::create_symlink(real, folder.path() / "link");
  write_file(folder.path() / "link", "new");
  CHECK(std::filesystem::is_symlink(folder.path() / "link"));
  CHECK(slurp(real) == "new");
}

TEST_CASE("a device and a pipe are written in place") {
  write_file("/dev/null", "gone");
  CHECK(std::filesystem::is_character_file("/dev/null"));
  const TemporaryFolder folder;
  const auto pipe = folder.path() / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  std::string received;
  std::thread reader([&] { received = slurp(pipe); });
  write_file(pipe, "through");
  reader.join();
  CHECK(received == "through");
  CHECK(std::filesystem::is_fifo(pipe));
}

TEST_CASE("what cannot be written is refused with its name and the reason") {
  const TemporaryFolder folder;
  const auto below_file = folder.write("file", "x") / "r.json";
  const auto nowhere = folder.path() / "none" / "r.json";
  CHECK(complaint_of([&] { write_file(nowhere, "x"); }) == nowhere.string() + ": cannot be written: No such file or directory");
  CHECK(complaint_of([&] { write_file(below_file, "x"); }).find(": cannot be written: Not a directory") != std::string::npos);
  CHECK(complaint_of([&] { write_file(folder.path(), "x"); }) == folder.path().string() + ": cannot be written: Is a directory");
  CHECK(complaint_of([&] { write_file("", "x"); }) == "an empty file name cannot be written");
  CHECK(complaint_of([&] { write_file("/dev/full", "x"); }) == "/dev/full: cannot be written: No space left on device");
}
