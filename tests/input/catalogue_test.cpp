#include "input/catalogue.hpp"

#include <doctest/doctest.h>

#include "support/input_error.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using test::complaint_of;
using test::TemporaryFolder;

namespace {
struct Catalogue {
  Catalogue() {
    for (const char* name : {"gpus/h100-sxm.json", "gpus/h200-sxm.json", "gpus/a100-sxm.json", "gpus/notes.txt", "own/x.json", "plain.json"}) folder.write(name, "{}");
  }
  std::filesystem::path find(std::string_view id) const { return find_catalogue_file(folder.path() / "gpus", id, "gpu", folder.path(), "s.json: /gpu"); }
  TemporaryFolder folder;
};
}  // namespace

TEST_CASE("the ids of a folder are its JSON files, sorted") {
  const Catalogue c;
  CHECK(catalogue_ids(c.folder.path() / "gpus") == std::vector<std::string>{"a100-sxm", "h100-sxm", "h200-sxm"});
}

TEST_CASE("an id, a relative path and an absolute path are found") {
  const Catalogue c;
  CHECK(c.find("h100-sxm") == c.folder.path() / "gpus/h100-sxm.json");
  CHECK(c.find("own/x.json") == c.folder.path() / "own/x.json");
  CHECK(c.find("plain.json") == c.folder.path() / "plain.json");
  CHECK(c.find((c.folder.path() / "own/x.json").string()) == c.folder.path() / "own/x.json");
}

TEST_CASE("an unknown id is refused with the nearest ids, a missing path with the path") {
  const Catalogue c;
  CHECK(complaint_of([&] { c.find("h100-smx"); }) == "s.json: /gpu: unknown gpu 'h100-smx'; did you mean 'h100-sxm', 'a100-sxm', 'h200-sxm'?");
  CHECK(complaint_of([&] { c.find("zzz"); }) == "s.json: /gpu: unknown gpu 'zzz'; accepted: 'a100-sxm', 'h100-sxm', 'h200-sxm'");
  CHECK(complaint_of([&] { c.find("own/y.json"); }).find("no such gpu file") != std::string::npos);
  CHECK_FALSE(complaint_of([&] { c.find(""); }).empty());
}

TEST_CASE("of a long catalogue the names with most in common are told where none is near, and where all are listed") {
  const TemporaryFolder folder;
  for (const char* name : {"deepseek-r1", "llama-3.1-70b", "llama-4-scout", "gpt-oss-20b", "qwen3-235b-a22b", "qwen3-8b", "dbrx", "glm-5", "grok-1", "phi-4", "kimi-k2", "arctic", "mimo-v2"}) {
    folder.write(std::string("models/") + name + ".json", "{}");
  }
  const auto refused = [&](const char* id) { return complaint_of([&] { find_catalogue_file(folder.path() / "models", id, "model", folder.path(), "s.json: /model"); }); };
  CHECK(refused("qwen3-235b-a22b-instruct-2507").starts_with("s.json: /model: unknown model 'qwen3-235b-a22b-instruct-2507'; the nearest of 13 known are 'qwen3-235b-a22b', 'qwen3-8b', "));
  CHECK(refused("llama-4-behemoth").find("the nearest of 13 known are 'llama-4-scout', 'llama-3.1-70b', ") != std::string::npos);
  CHECK(refused("zzz").ends_with("; moeplan catalog models lists all"));
  CHECK(refused("deepseek-ai/DeepSeek-R1").ends_with("deepseek-ai/DeepSeek-R1' (did you mean 'deepseek-r1'?)"));
  CHECK(refused("models/none.json").find("did you mean") == std::string::npos);
}

TEST_CASE("near names are found through swaps, case and parts, best first; far ones are not offered") {
  const std::vector<std::string> names = {"rate", "requests", "process", "mixtral-8x7b"};
  CHECK(nearest_names("raet", names) == std::vector<std::string>{"rate"});
  CHECK(nearest_names("Process", names) == std::vector<std::string>{"process"});
  CHECK(nearest_names("mixtral", names) == std::vector<std::string>{"mixtral-8x7b"});
  CHECK(nearest_names("bandwidth", names).empty());
  CHECK(nearest_names(std::string(100'000, 'r'), names).empty());
  CHECK(nearest_names("a", {"b", "c", "d", "e"}, 2).size() == 2);
  CHECK(did_you_mean("bandwidth", names).empty());
}
