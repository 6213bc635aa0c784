#include "input/csv.hpp"

#include <doctest/doctest.h>

#include "support/input_error.hpp"
#include "support/temporary_folder.hpp"

using moeplan::CsvReader;
using moeplan::test::complaint_of;
using moeplan::test::TemporaryFolder;

TEST_CASE("rows come one by one with their line numbers, empty lines skipped") {
  const TemporaryFolder folder;
  CsvReader csv(folder.write("t.csv", "a,b\n1,x\n\n 2 , \n"));
  CHECK(csv.header() == std::vector<std::string>{"a", "b"});
  REQUIRE(csv.next());
  CHECK(csv.integer(csv.column("a")) == 1);
  CHECK(csv.text(1) == "x");
  CHECK(csv.line() == 2);
  REQUIRE(csv.next());
  CHECK(csv.number(0) == 2.0);
  CHECK(csv.empty(1));
  CHECK(csv.line() == 4);
  CHECK(csv.where() == (folder.path() / "t.csv").string() + ":4");
  CHECK_FALSE(csv.next());
}

TEST_CASE("a byte-order mark, CRLF, quotes, doubled quotes and line breaks in quotes are understood") {
  const TemporaryFolder folder;
  CsvReader csv(folder.write("t.csv", "\xEF\xBB\xBF\"a\",b\r\n\"x, \"\"y\"\"\",1\r\n\"two\nlines\",2\r\nz,3"));
  CHECK(csv.find_column("a") == 0);
  REQUIRE(csv.next());
  CHECK(csv.text(0) == "x, \"y\"");
  REQUIRE(csv.next());
  CHECK(csv.text(0) == "two\nlines");
  CHECK(csv.line() == 3);
  REQUIRE(csv.next());
  CHECK(csv.line() == 5);
  CHECK(csv.integer(1) == 3);
  CHECK_FALSE(csv.next());
}

TEST_CASE("a row with another number of fields than the header is refused with its line") {
  const TemporaryFolder folder;
  const auto file = folder.write("t.csv", "a,b\n1,2\n1,2,3\n");
  CsvReader csv(file);
  CHECK(csv.next());
  CHECK(complaint_of([&] { csv.next(); }) == file.string() + ":3: found 3 fields, accepted: 2 as in the header");
}

TEST_CASE("a field that is no number is refused with line, column and finding") {
  const TemporaryFolder folder;
  const auto file = folder.write("t.csv", "a,b,c,d,e\n12x,nan,1.5,1e400,7.0\n");
  CsvReader csv(file);
  REQUIRE(csv.next());
  CHECK(complaint_of([&] { static_cast<void>(csv.number(0)); }) == file.string() + ":2: column 'a': found '12x', accepted: a number");
  CHECK_THROWS_AS(static_cast<void>(csv.number(1)), moeplan::InputError);
  CHECK_THROWS_AS(static_cast<void>(csv.integer(2)), moeplan::InputError);
  CHECK_THROWS_AS(static_cast<void>(csv.number(3)), moeplan::InputError);
  CHECK(csv.integer(4) == 7);
}

TEST_CASE("a missing column is named with the nearest one, a doubled one is refused") {
  const TemporaryFolder folder;
  const CsvReader csv(folder.write("t.csv", "latency_us,m\n"));
  CHECK(complaint_of([&] { static_cast<void>(csv.column("latency_ms")); }).find("no column 'latency_ms' (did you mean 'latency_us'?)") != std::string::npos);
  CHECK_FALSE(csv.find_column("k").has_value());
  CHECK(complaint_of([&] { CsvReader(folder.write("d.csv", "a,b,a\n")); }).find("column 'a' appears twice") != std::string::npos);
}

TEST_CASE("files that are no tables are refused: missing, empty, a folder, an open quote, an endless line") {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::filesystem::path& file) {
    return complaint_of([&] {
      CsvReader csv(file);
      while (csv.next()) {
      }
    });
  };
  CHECK(refusal(folder.path() / "none.csv").find("no such file") != std::string::npos);
  CHECK(refusal(folder.path()).find("is a directory") != std::string::npos);
  CHECK(refusal(folder.write("e.csv", "")).find("is empty") != std::string::npos);
  CHECK(refusal(folder.write("q.csv", "a,b\n\"open,1\n2,3\n")).find(":2: a quote is opened and never closed") != std::string::npos);
  CHECK(refusal(folder.write("j.csv", "a\n\"x\"y\n")).find(":2: text after the closing quote of field 1") != std::string::npos);
  CHECK(refusal(folder.write("l.csv", "a\n" + std::string(2'000'000, 'x'))).find(":2: a row of more than 1048576 bytes") != std::string::npos);
}
