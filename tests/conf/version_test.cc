// SPDX-License-Identifier: Apache-2.0
#include "conf/version.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/refusal.h"

namespace conf {
namespace {

using support::refusal_of;

constexpr const char* kSupportedText = R"(["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"])";

TEST_SUITE_BEGIN("conf.version");

TEST_CASE("A3.5 the seven versions are supported to the letter") {
  for (const char* text : {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
    CAPTURE(text);
    CHECK(is_supported(text));
    CHECK_NOTHROW(require_supported(text));
  }
  CHECK(kNewestVersion == "1.1.0");
}

TEST_CASE("A3.1 any other version is code 1 with both sides in the details") {
  for (const std::string text : {"0.3", "1.1", "9.9.9", "0.3.2", "1", "01.0.0", "1.0.00", ""}) {
    CAPTURE(text);
    CHECK_FALSE(is_supported(text));
    const CniError error = refusal_of([&] { require_supported(text); });
    CHECK(error.code() == 1);
    CHECK(error.msg() == "incompatible CNI versions");
    CHECK(error.details() == "config is \"" + text + "\", plugin supports " + kSupportedText);
  }
}

TEST_CASE("A3.3 what is no version is code 6") {
  const std::vector<std::string> cases = {
      "a.b.c",  "1.0.0.0", "1.0.0-rc1", "1.", ".1",  "1..0",      "1.0.0.",    " 1.0.0",
      "1.0.0 ", "v1.0.0",  "-1.0.0",    "+1", "1,0", "65536.0.0", "0.0.65536", "99999999999999999999.0.0",
      "1.0x"};
  for (const std::string& text : cases) {
    CAPTURE(text);
    const CniError error = refusal_of([&] { return parse_version(text); });
    CHECK(error.code() == 6);
    CHECK(error.msg() == "invalid CNI version");
    CHECK(error.details() == "\"" + text + "\" is not one to three numbers with dots between, like 1.0.0");
    CHECK(refusal_of([&] { require_supported(text); }).code() == 6);
    CHECK(refusal_of([&] { require_at_least(text, "0.4.0", "CHECK"); }).code() == 6);
    CHECK_FALSE(at_least(text, "0.1.0"));
  }
}

TEST_CASE("A3.3 a long text in the place of a version is shown only in part") {
  const CniError error = refusal_of([] { return parse_version(std::string(100'000, 'x') + "secret"); });
  CHECK(error.details() ==
        "\"" + std::string(32, 'x') + "\"... is not one to three numbers with dots between, like 1.0.0");
}

TEST_CASE("A3.3 one to three numbers are a version, missing ones are zero") {
  CHECK(parse_version("1.2.3") == Version{.major = 1, .minor = 2, .patch = 3});
  CHECK(parse_version("1.2") == Version{.major = 1, .minor = 2, .patch = 0});
  CHECK(parse_version("1") == Version{.major = 1, .minor = 0, .patch = 0});
  CHECK(parse_version("65535.65535.65535") == Version{.major = 65535, .minor = 65535, .patch = 65535});
}

TEST_CASE("no version means 0.1.0") {
  CHECK(parse_version("") == Version{.major = 0, .minor = 1, .patch = 0});
  CHECK(at_least("", "0.1.0"));
  CHECK_FALSE(at_least("", "0.2.0"));
}

TEST_CASE("versions are compared as numbers, part by part") {
  CHECK(at_least("0.4.0", "0.4.0"));
  CHECK(at_least("1.0.0", "0.4.0"));
  CHECK(at_least("0.10.0", "0.4.0"));
  CHECK(at_least("0.4.1", "0.4.0"));
  CHECK(at_least("1", "1.0.0"));
  CHECK_FALSE(at_least("0.3.1", "0.4.0"));
  CHECK_FALSE(at_least("1.0.0", "1.1.0"));
  CHECK_FALSE(at_least("0.65535.65535", "1"));
}

TEST_CASE("A3.2 a verb that came later needs its version") {
  CHECK_NOTHROW(require_at_least("0.4.0", "0.4.0", "CHECK"));
  CHECK_NOTHROW(require_at_least("1.1.0", "0.4.0", "CHECK"));
  const CniError check = refusal_of([] { require_at_least("0.3.1", "0.4.0", "CHECK"); });
  CHECK(check.code() == 1);
  CHECK(check.msg() == "incompatible CNI versions");
  CHECK(check.details() == "config is \"0.3.1\", CHECK needs \"0.4.0\" or newer");
  CHECK(refusal_of([] { require_at_least("1.0.0", "1.1.0", "GC"); }).details() ==
        "config is \"1.0.0\", GC needs \"1.1.0\" or newer");
}

TEST_CASE("A9.1 VERSION echoes a version that we know, else says our newest") {
  const auto answer = [](const std::string& version) {
    return R"({"cniVersion":")" + version + R"(","supportedVersions":)" + kSupportedText + "}";
  };
  for (const std::string_view known : kSpecVersions) CHECK(version_json(known) == answer(std::string(known)));
  for (const char* unknown : {"", "9.9.9", "1.0", "x\"y"}) CHECK(version_json(unknown) == answer("1.1.0"));
}

TEST_SUITE_END();

}  // namespace
}  // namespace conf
