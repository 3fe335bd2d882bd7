// SPDX-License-Identifier: Apache-2.0
#include "conf/error.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

namespace conf {
namespace {

TEST_SUITE_BEGIN("conf.error");

TEST_CASE("an error is its message and its details in one line") {
  CHECK(std::string(CniError(Code::kDecode, "invalid JSON", "stdin, byte 3").what()) == "invalid JSON: stdin, byte 3");
  CHECK(std::string(CniError(Code::kDecode, "invalid JSON").what()) == "invalid JSON");
}

TEST_CASE("an error keeps a delegate's own code") {
  const CniError error(4'294'967'295U, "theirs", "");
  CHECK(error.code() == 4'294'967'295U);
}

TEST_CASE("an error survives being copied while it is thrown") {
  static_assert(std::is_nothrow_move_constructible_v<CniError>);
  const CniError error(Code::kBusy, "attachment is busy", "container abc");
  const CniError copy = error;  // NOLINT(performance-unnecessary-copy-initialization)
  CHECK(std::string(copy.what()) == error.what());
  CHECK(copy.code() == 105);
}

TEST_CASE("A10.1 the error on stdout has cniVersion, code, msg and details") {
  CHECK(error_json(CniError(Code::kInvalidConfig, "invalid configuration", "name is empty"), "0.4.0") ==
        R"({"cniVersion":"0.4.0","code":7,"msg":"invalid configuration","details":"name is empty"})");
}

TEST_CASE("A10.1 details are left out when there are none") {
  CHECK(error_json(CniError(Code::kTryAgainLater, "on hold"), "1.1.0") ==
        R"({"cniVersion":"1.1.0","code":11,"msg":"on hold"})");
}

TEST_CASE("A10.1 whatever bytes are in an error, what is printed is JSON") {
  const std::string text = error_json(CniError(Code::kIo, "a\n\"b\"\\", std::string("\xff\x00z", 3)), "1.\"0");
  const nlohmann::json parsed = nlohmann::json::parse(text);
  CHECK(parsed.at("cniVersion") == "1.\"0");
  CHECK(parsed.at("msg") == "a\n\"b\"\\");
  CHECK(parsed.at("details") == std::string("\xef\xbf\xbd\0z", 5));
  CHECK(text.find('\n') == text.npos);
}

TEST_CASE("A10.3 an error that was printed is read back") {
  const CniError error(Code::kNotAvailable, "no address left", "pool 10.0.0.0/24");
  const std::optional<CniError> read = parse_error_json(error_json(error, "1.1.0"));
  REQUIRE(read);
  CHECK(read->code() == 50);
  CHECK(read->msg() == "no address left");
  CHECK(read->details() == "pool 10.0.0.0/24");
}

TEST_CASE("A10.3 a delegate's error is read for its code, whatever else is there or missing") {
  struct Case {
    const char* text;
    unsigned code;
    const char* msg;
    const char* details;
  };
  const std::vector<Case> cases = {
      {R"({"code":0})", 0, "", ""},
      {R"({"code":4294967295,"msg":"m"})", 4'294'967'295U, "m", ""},
      {R"({"code":999,"msg":null,"details":null})", 999, "", ""},
      {R"({"code":999,"msg":5,"details":["x"]})", 999, "", ""},
      {" \n{\"Code\": 7, \"Msg\": \"m\", \"Details\": \"d\", \"more\": {}} \n", 7, "m", "d"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    const std::optional<CniError> error = parse_error_json(c.text);
    REQUIRE(error);
    CHECK(error->code() == c.code);
    CHECK(error->msg() == c.msg);
    CHECK(error->details() == c.details);
  }
}

TEST_CASE("B5.6 what is no error object is nothing") {
  const std::vector<std::string> cases = {
      "",
      "null",
      "OK",
      "[]",
      "{",
      "{}",
      R"({"msg":"m"})",
      R"({"code":"7"})",
      R"({"code":null})",
      R"({"code":7.0})",
      R"({"code":-1})",
      R"({"code":4294967296})",
      R"({"code":18446744073709551616})",
      R"({"code":1e1})",
      R"({"code":7} panic)",
      std::string(100'000, '['),
  };
  for (const std::string& text : cases) {
    CAPTURE(text.substr(0, 40));
    CHECK_FALSE(parse_error_json(text).has_value());
  }
}

TEST_CASE("a failed system call names the operation, the object and the reason") {
  const CniError error = system_error(Code::kState, "open", "/var/lib/x", EACCES);
  CHECK(error.code() == 104);
  CHECK(error.msg() == "system call failed");
  CHECK(error.details() == "open /var/lib/x: Permission denied");
}

TEST_CASE("A10.4 no errno makes an error that containerd swallows on DEL") {
  CHECK(system_error(Code::kIo, "open", "/a", ENOENT).details() == "open /a: no such path");
  for (int error_number = 0; error_number < 200; ++error_number) {
    const std::string text = system_error(Code::kIo, "open", "/not found/a", error_number).what();
    CAPTURE(text);
    CHECK(text == without_swallowed_phrases(text));
    CHECK(text.find("not found") == text.npos);
  }
}

TEST_CASE("A10.4 the phrases that containerd swallows are replaced, in any case and however often") {
  CHECK(without_swallowed_phrases("") == "");
  CHECK(without_swallowed_phrases("all is well") == "all is well");
  CHECK(without_swallowed_phrases("not found") == "absent");
  CHECK(without_swallowed_phrases("link eth0 Not Found, NOT FOUND") == "link eth0 absent, absent");
  CHECK(without_swallowed_phrases("stat /x: No such file or directory") == "stat /x: no such path");
  CHECK(without_swallowed_phrases("nnot foundot found") == "nabsentot found");
  CHECK(without_swallowed_phrases("not foun") == "not foun");
  CHECK(without_swallowed_phrases("no such file") == "no such file");
}

TEST_SUITE_END();

}  // namespace
}  // namespace conf
