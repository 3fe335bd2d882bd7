// SPDX-License-Identifier: Apache-2.0
#include "conf/json.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/support/refusal.h"

namespace conf {
namespace {

using support::refusal_of;

Object object(std::string_view text) { return Object::parse(text, "test"); }

std::string nested(std::size_t levels, char open, char close) {
  return std::string(levels, open) + std::string(levels, close);
}

TEST_SUITE_BEGIN("conf.json");

TEST_CASE("an object is its members in order, values as they were written") {
  const std::vector<Member> expected = {{.key = "b", .value = "1"},
                                        {.key = "a", .value = "[ 1,\n {\"x\" : 2} ]"},
                                        {.key = "", .value = "\"\\u0041\\/\""},
                                        {.key = "n", .value = "null"}};
  CHECK(object(" \t{ \"b\" :1 ,\r\n\"a\":[ 1,\n {\"x\" : 2} ] , \"\":\"\\u0041\\/\",\"n\": null} \n").members() ==
        expected);
  CHECK(object("{}").empty());
  CHECK(object(" { } ").members().empty());
}

TEST_CASE("A2.5 numbers keep every digit") {
  for (const std::string number : {"18446744073709551616", "9007199254740993", "-0", "1e3", "1E+03", "0.10",
                                   "123456789012345678901234567890.123456789e-5"}) {
    CAPTURE(number);
    const Object parsed = object(R"({"n": )" + number + R"( ,"in":[)" + number + "]}");
    CHECK(*parsed.find("n") == number);
    CHECK(parsed.text() == R"({"n":)" + number + R"(,"in":[)" + number + "]}");
    CHECK(parse_array("[" + number + "]", "test") == std::vector<std::string>{number});
  }
}

TEST_CASE("brackets, quotes and commas inside strings are text") {
  const Object parsed = object(R"({"a,}:\"{":"]},\"[","b":["}","\\",{"\\\"":"]"}],"c":"\\"})");
  REQUIRE(parsed.members().size() == 3);
  CHECK(parsed.members()[0] == Member{.key = "a,}:\"{", .value = R"("]},\"[")"});
  CHECK(parsed.members()[1] == Member{.key = "b", .value = R"(["}","\\",{"\\\"":"]"}])"});
  CHECK(parsed.members()[2] == Member{.key = "c", .value = R"("\\")"});
}

TEST_CASE("keys are decoded, and written so that they decode to the same") {
  const Object parsed = object(R"({"\u0063niVersion":1,"\ud83d\ude00":2,"\u0000":3,"a\nb":4})");
  CHECK(parsed.members()[0].key == "cniVersion");
  CHECK(parsed.members()[1].key == "\xF0\x9F\x98\x80");
  CHECK(parsed.members()[2].key == std::string("\0", 1));
  CHECK(parsed.text() == "{\"cniVersion\":1,\"\xF0\x9F\x98\x80\":2,\"\\u0000\":3,\"a\\nb\":4}");
  CHECK(object(parsed.text()) == parsed);
}

TEST_CASE("A2.3 of equal keys the last value stays, in the first one's place") {
  CHECK(object(R"({"a":1,"b":2,"\u0061":3,"a":[4]})").text() == R"({"a":[4],"b":2})");
}

TEST_CASE("A2.3 keys that differ in case are two members") {
  CHECK(object(R"({"a":1,"A":2})").text() == R"({"a":1,"A":2})");
}

TEST_CASE("100 000 keys, all equal or all different, are as little work as they look") {
  std::string same = "{";
  std::string different = "{";
  for (int i = 0; i < 100'000; ++i) {
    same += "\"k\":1,";
    different += '"' + std::to_string(i) + "\":1,";
  }
  CHECK(object(same + "\"k\":2}").text() == R"({"k":2})");
  CHECK(Object::parse(different + "\"k\":2}", "test", kMaxGcBytes).members().size() == 100'001);
}

TEST_CASE("A2.3 a key is found to the letter, else in another case") {
  const Object parsed = object(R"({"CNIVERSION":"1","cniVersion":"2","CNIVersion":"3","Name":"n"})");
  CHECK(*parsed.find("cniVersion") == R"("2")");
  CHECK(*parsed.find("CNIVersion") == R"("3")");
  CHECK(*parsed.find("cniversion") == R"("1")");
  CHECK(*parsed.find("name") == R"("n")");
  CHECK(parsed.has("NAME"));
  CHECK(parsed.find("nam") == nullptr);
  CHECK_FALSE(parsed.has(""));
  CHECK_FALSE(object(R"({"[":1})").has("{"));  // these two differ by the bit that letters differ by in case
}

TEST_CASE("setting a key keeps its place, or appends") {
  Object parsed = object(R"({"a":1,"b":2,"c":3})");
  parsed.set("b", "[5]");
  parsed.set("d", "null");
  CHECK(parsed.text() == R"({"a":1,"b":[5],"c":3,"d":null})");
  Object empty;
  empty.set("a\"", "1");
  CHECK(empty.text() == R"({"a\"":1})");
}

TEST_CASE("setting a key takes its spelling and leaves no other, since Go takes the last of them") {
  Object parsed = object(R"({"x":0,"CNIVersion":"a","y":0,"cniVersion":"b","z":0,"cniversion":"c"})");
  parsed.set("cniVersion", R"("1.0.0")");
  CHECK(parsed.text() == R"({"x":0,"y":0,"cniVersion":"1.0.0","z":0})");
  Object other = object(R"({"CNIVersion":"a","y":0})");
  other.set("cniVersion", R"("1.0.0")");
  CHECK(other.text() == R"({"cniVersion":"1.0.0","y":0})");
}

TEST_CASE("erasing a key takes every spelling of it") {
  Object parsed = object(R"({"prevresult":1,"a":2,"prevResult":3})");
  parsed.erase("prevResult");
  CHECK(parsed.text() == R"({"a":2})");
  parsed.erase("b");
  CHECK(parsed.text() == R"({"a":2})");
}

TEST_CASE("A2.1 what is no JSON is code 6, with the byte and the reason") {
  struct Case {
    std::string text;
    const char* details;
  };
  const std::vector<Case> cases = {
      {"", "test, byte 0: unexpected end of input; expected '[', '{', or a literal"},
      {"  ", "test, byte 2: unexpected end of input; expected '[', '{', or a literal"},
      {"{", "test, byte 1: unexpected end of input; expected string literal"},
      {R"({"a")", "test, byte 4: unexpected end of input; expected ':'"},
      {R"({"a":1)", "test, byte 6: unexpected end of input; expected '}'"},
      {R"({"a":1,})", "test, byte 7: unexpected '}'; expected string literal"},
      {R"({"a" "b"})", "test, byte 7: unexpected string literal; expected ':'"},
      {R"({"a":[1 2]})", "test, byte 8: unexpected number literal; expected ']'"},
      {R"({a:1})", "test, byte 1: invalid literal"},
      {R"({"a":nul})", "test, byte 8: invalid literal"},
      {R"({"a":01})", "test, byte 6: unexpected number literal; expected '}'"},
      {R"({"a":1.})", "test, byte 7: invalid number; expected digit after '.'"},
      {R"({"a":-})", "test, byte 6: invalid number; expected digit after '-'"},
      {R"({"a":1e999})", "test, byte 9: number out of range"},
      {R"({"a":1}{})", "test, byte 7: unexpected '{'; expected end of input"},
      {R"({"a":1} x)", "test, byte 8: invalid literal"},
      {R"({} // c)", "test, byte 3: invalid literal"},
      {"{\"a\":\"\xff\"}", "test, byte 6: invalid string: ill-formed UTF-8 byte"},
      {"{\"a\":\"\xed\xa0\x80\"}", "test, byte 7: invalid string: ill-formed UTF-8 byte"},
      {"{\"a\":\"\xc0\x80\"}", "test, byte 6: invalid string: ill-formed UTF-8 byte"},
      {"{\"\xff\":1}", "test, byte 2: invalid string: ill-formed UTF-8 byte"},
      {R"({"a":"\x"})", "test, byte 7: invalid string: forbidden character after backslash"},
      {R"({"a":"\ud800"})",
       "test, byte 12: invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF"},
      {"{\"a\":\"\n\"}",
       "test, byte 6: invalid string: control character U+000A (LF) must be escaped to \\u000A or \\n"},
      {"\xEF\xBB\xBF{}", "test, byte 0: byte order mark"},
      {std::string("{}\0", 3), "test, byte 2: NUL byte"},
      {std::string("{}\0{\"a\":1}", 10), "test, byte 2: NUL byte"},
      {std::string("\0", 1), "test, byte 0: NUL byte"},
      {std::string("{\"a\":\"\0\"}", 9), "test, byte 6: NUL byte"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    const CniError error = refusal_of([&] { return object(c.text); });
    CHECK(error.code() == 6);
    CHECK(error.msg() == "invalid JSON");
    CHECK(error.details() == c.details);
    CHECK(refusal_of([&] { return parse_array(c.text, "test"); }).details() == c.details);
  }
}

TEST_CASE("JSON of the wrong kind is code 7") {
  struct Case {
    const char* text;
    const char* kind;
  };
  for (const Case& c : {Case{"[{}]", "array"}, Case{" null ", "null"}, Case{"1", "number"}, Case{"-1", "number"},
                        Case{"\"{}\"", "string"}, Case{"true", "boolean"}, Case{"false", "boolean"}}) {
    CAPTURE(c.text);
    const CniError error = refusal_of([&] { return object(c.text); });
    CHECK(error.code() == 7);
    CHECK(error.msg() == "unexpected JSON value");
    CHECK(error.details() == std::string("test must be an object, not ") + c.kind);
  }
  const CniError error = refusal_of([] { return parse_array(" {} ", "test"); });
  CHECK(error.code() == 7);
  CHECK(error.details() == "test must be an array, not object");
}

TEST_CASE("no error quotes the document, wherever it breaks") {
  const std::string good =
      R"({"hunter2":"hunter2","a":[{"hunter2":hunter2},12,"hunter2"],"b":{"hunter2":["hunter2"]}})";
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const char junk : {'h', '"', '{', '}', ']', ',', ':', '\\', '1', '\n', '\xff', '\0'}) {
      std::string bad = good;
      bad[at] = junk;
      CAPTURE(bad);
      const CniError error = refusal_of([&] { return object(bad); });
      CHECK(error.code() == 6);
      CHECK(std::string(error.what()).find("unter") == std::string::npos);
    }
    const CniError error = refusal_of([&] { return object(good.substr(0, at)); });
    CHECK(std::string(error.what()).find("unter") == std::string::npos);
  }
}

TEST_CASE("A2.2 a document longer than the limit is refused before it is read") {
  const std::string text = "{}" + std::string(100, ' ');
  CHECK_NOTHROW((void)Object::parse(text, "test", 102));
  const CniError error = refusal_of([&] { return Object::parse(text, "test", 101); });
  CHECK(error.code() == 6);
  CHECK(error.msg() == "JSON too large");
  CHECK(error.details() == "test: 102 bytes, at most 101 are read");
  CHECK(refusal_of([] { return parse_array(std::string(2'000'000, '['), "test"); }).details() ==
        "test: 2000000 bytes, at most 1048576 are read");
}

TEST_CASE("A2.2 nesting ends at 128 levels") {
  CHECK(parse_array(nested(128, '[', ']'), "test").at(0) == nested(127, '[', ']'));
  CHECK_NOTHROW((void)object(R"({"a":)" + nested(127, '[', ']') + "}"));
  const CniError array = refusal_of([] { return parse_array(nested(129, '[', ']'), "test"); });
  CHECK(array.code() == 6);
  CHECK(array.msg() == "invalid JSON");
  CHECK(array.details() == "test, byte 128: nested deeper than 128 levels");
  CHECK(refusal_of([] { return object(R"({"[[\"":["[",)" + nested(127, '[', ']') + "]}"); }).details() ==
        "test, byte 139: nested deeper than 128 levels");
}

TEST_CASE("A2.2 levels that were left do not count") {
  std::string text = "[";
  for (int i = 0; i < 1000; ++i) text += "{\"a\":[]},";
  CHECK(parse_array(text + "1]", "test").size() == 1001);
}

TEST_CASE("A2.2 two million brackets are refused at the 129th") {
  const CniError array = refusal_of([] { return parse_array(std::string(2'000'000, '['), "test", kMaxGcBytes); });
  CHECK(array.details() == "test, byte 128: nested deeper than 128 levels");
  std::string objects;
  for (int i = 0; i < 2'000'000; ++i) objects += "{\"\":";
  const CniError deep = refusal_of([&] { return Object::parse(objects, "test", kMaxGcBytes); });
  CHECK(deep.details() == "test, byte 512: nested deeper than 128 levels");
}

TEST_CASE("an array is its elements as they were written") {
  CHECK(parse_array(" [ 1 ,[2, 3] ,\"x,]\\\"\" , {\"a\":[]},null ] ", "test") ==
        std::vector<std::string>{"1", "[2, 3]", "\"x,]\\\"\"", "{\"a\":[]}", "null"});
  CHECK(parse_array("[]", "test").empty());
  CHECK(parse_array("[ \n]", "test").empty());
}

TEST_CASE("what is no locale's number is ours") {
  CHECK(as_integer("0") == 0);
  CHECK(as_integer("-0") == 0);
  CHECK(as_integer("-17") == -17);
  CHECK(as_integer("9223372036854775807") == std::numeric_limits<long long>::max());
  CHECK(as_integer("-9223372036854775808") == std::numeric_limits<long long>::min());
  for (const char* raw : {"", "-", "+1", "01", "-01", "9223372036854775808", "-9223372036854775809", "1.0", "1e3",
                          "\"1\"", "null", "true", "[1]", " 1", "1 ", "0x1"}) {
    CAPTURE(raw);
    CHECK_FALSE(as_integer(raw).has_value());
  }
}

TEST_CASE("a string is read, anything else is nothing") {
  CHECK(as_string(R"("")") == "");
  CHECK(as_string(R"("a\u0041\n\"\/")") == "aA\n\"/");
  CHECK(as_string(R"("\u0000x")") == std::string("\0x", 2));
  for (const std::string& raw :
       {std::string(), std::string("\""), std::string("a"), std::string("1"), std::string("null"),
        std::string("[\"a\"]"), std::string("\"a\" \"b\""), std::string("\"a\"\0\"b\"", 7), std::string("\"\xff\"")}) {
    CAPTURE(raw);
    CHECK_FALSE(as_string(raw).has_value());
  }
}

TEST_CASE("A2.8 a boolean may be written as a string, in any case") {
  for (const char* raw : {"true", "\"true\"", "\"True\"", "\"TRUE\"", "\"\\u0074rue\""}) CHECK(as_bool(raw) == true);
  for (const char* raw : {"false", "\"false\"", "\"False\""}) CHECK(as_bool(raw) == false);
  for (const char* raw : {"", "True", "1", "0", "\"1\"", "\"\"", "\"yes\"", "\" true\"", "null", "[true]"}) {
    CAPTURE(raw);
    CHECK_FALSE(as_bool(raw).has_value());
  }
}

TEST_CASE("a text is quoted so that it reads back, whatever its bytes") {
  CHECK(quote("") == R"("")");
  CHECK(quote("a\"\\\n\x01/") == R"("a\"\\\n\u0001/")");
  CHECK(quote("\xC3\xA4") == "\"\xC3\xA4\"");
  CHECK(quote("a\xff\xC3") == "\"a\xEF\xBF\xBD\xEF\xBF\xBD\"");
  std::string ascii;
  for (char c = 0; c < 0x7f; ++c) ascii += c;
  CHECK(as_string(quote(ascii)) == ascii);
}

TEST_CASE("a value tells its kind") {
  CHECK(kind_of("\"\"") == "string");
  CHECK(kind_of("-1") == "number");
  CHECK(kind_of("0.5") == "number");
  CHECK(kind_of("true") == "boolean");
  CHECK(kind_of("false") == "boolean");
  CHECK(kind_of("{}") == "object");
  CHECK(kind_of("[]") == "array");
  CHECK(kind_of("null") == "null");
}

TEST_CASE("a string member is its text, or nothing if absent or null") {
  const Object parsed = object(R"({"a":"x","b":null,"c":5,"d":{"hunter2":1}})");
  CHECK(string_member(parsed, "a", "stdin") == "x");
  CHECK(string_member(parsed, "A", "stdin") == "x");
  CHECK_FALSE(string_member(parsed, "b", "stdin").has_value());
  CHECK_FALSE(string_member(parsed, "e", "stdin").has_value());
  const CniError number = refusal_of([&] { return string_member(parsed, "c", "stdin"); });
  CHECK(number.code() == 7);
  CHECK(number.msg() == "invalid configuration");
  CHECK(number.details() == "`stdin.c` must be a string, not number");
  CHECK(refusal_of([&] { return string_member(parsed, "d", "stdin"); }).details() ==
        "`stdin.d` must be a string, not object");
}

TEST_SUITE_END();

}  // namespace
}  // namespace conf
