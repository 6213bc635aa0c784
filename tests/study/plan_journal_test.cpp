#include "study/plan_journal.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "support/input_error.hpp"
#include "support/temporary_folder.hpp"

using namespace moeplan;
using namespace moeplan::test;

TEST_CASE("what was appended is found by the next process, whoever wrote it") {
  const TemporaryFolder folder;
  {
    PlanJournal first(folder.path() / "j", "hash", 0);
    PlanJournal second(folder.path() / "j", "hash", 1);
    first.append("a", "result \"of\" a\n");
    second.append("b", "2");
    CHECK_FALSE(second.find("a").has_value());
  }
  const PlanJournal next(folder.path() / "j", "hash", 0);
  CHECK(next.find("a") == "result \"of\" a\n");
  CHECK(next.find("b") == "2");
  CHECK_FALSE(next.find("c").has_value());
}

TEST_CASE("a line cut short by a crash is dropped, and the next one does not grow out of it") {
  const TemporaryFolder folder;
  { PlanJournal(folder.path(), "hash", 0).append("a", "1"); }
  { std::ofstream(folder.path() / "finished-0.jsonl", std::ios::app) << R"({"key": "b", "resu)"; }
  { PlanJournal(folder.path(), "hash", 0).append("c", "3"); }
  const PlanJournal journal(folder.path(), "hash", 0);
  CHECK(journal.find("a") == "1");
  CHECK_FALSE(journal.find("b").has_value());
  CHECK(journal.find("c") == "3");
}

TEST_CASE("a journal of other inputs is refused, and so is one in use and what is none") {
  const TemporaryFolder folder;
  {
    const PlanJournal open(folder.path(), "hash", 0);
    CHECK(complaint_of([&] { PlanJournal(folder.path(), "hash", 0); }).find("is in use by another search") != std::string::npos);
  }
  CHECK(complaint_of([&] { PlanJournal(folder.path(), "other", 0); }).find("the scenario, its data or moeplan have changed since") != std::string::npos);
  const TemporaryFolder foreign;
  foreign.write("finished-1.jsonl", "1,2,3\n");
  CHECK(complaint_of([&] { PlanJournal(foreign.path(), "hash", 0); }).find("is no journal of a plan search") != std::string::npos);
}
