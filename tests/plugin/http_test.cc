// SPDX-License-Identifier: Apache-2.0
#include "plugin/http.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "tests/plugin/fake_server.h"

using plugin::http_get;
using plugin::HttpAnswer;
using plugin::parse_http_answer;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kLong{60'000};  // nothing here waits for it
constexpr milliseconds kShort{100};

using Answer = std::variant<HttpAnswer, std::string>;

std::string body_of(const Answer& answer) {
  const auto* http = std::get_if<HttpAnswer>(&answer);
  return http == nullptr ? "no answer: " + std::get<std::string>(answer)
                         : std::to_string(http->status) + " " + http->body;
}

std::string refusal_of(const Answer& answer) {
  const auto* sentence = std::get_if<std::string>(&answer);
  return sentence == nullptr ? "an answer: " + body_of(answer) : *sentence;
}

std::string with_header(const std::string& fields, const std::string& body) {
  return "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + body;
}

std::string chunked(const std::string& chunks) { return with_header("Transfer-Encoding: chunked\r\n", chunks); }

}  // namespace

TEST_SUITE("plugin.http") {
  TEST_CASE("a body of a stated length") {
    CHECK(body_of(parse_http_answer(with_header("Content-Length: 5\r\n", "hello"))) == "200 hello");
    CHECK(body_of(parse_http_answer(with_header("content-LENGTH:5\r\n", "hello"))) == "200 hello");
    CHECK(body_of(parse_http_answer(with_header("Content-Length: 0\r\n", ""))) == "200 ");
  }

  TEST_CASE("a body that ends with the connection") {
    CHECK(body_of(parse_http_answer("HTTP/1.0 503 Service Unavailable\r\n\r\nnot now")) == "503 not now");
    CHECK(body_of(parse_http_answer("HTTP/1.1 200\r\n\r\n")) == "200 ");
  }

  TEST_CASE("a body in chunks, with extensions and trailers") {
    CHECK(body_of(parse_http_answer(chunked("5\r\nhello\r\n0\r\n\r\n"))) == "200 hello");
    CHECK(body_of(parse_http_answer(
              chunked("5;name=\"value\"\r\nhello\r\n1 \r\n!\r\n000\r\nX-Sum: 1\r\nY:\r\n\r\n"))) == "200 hello!");
    CHECK(body_of(parse_http_answer(chunked("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"))) ==
          "200 01234567890123456789");
  }

  TEST_CASE("an answer without a body") {
    CHECK(body_of(parse_http_answer("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n")) == "204 ");
    CHECK(body_of(parse_http_answer("HTTP/1.1 304 Not Modified\r\n\r\nx")) == "304 ");
  }

  TEST_CASE("a length stated twice is taken if it is the same") {
    CHECK(body_of(parse_http_answer(with_header("Content-Length: 2\r\nContent-Length: 2\r\n", "ok"))) == "200 ok");
    const std::string two = with_header("Content-Length: 2\r\nContent-Length: 3\r\n", "okk");
    CHECK(refusal_of(parse_http_answer(two)) == "answer torn after " + std::to_string(two.size()) + " bytes");
  }

  TEST_CASE("an answer cut anywhere is torn") {
    const std::vector<std::string> answers = {with_header("Content-Length: 5\r\n", "hello"),
                                              chunked("5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")};
    for (const std::string& whole : answers) {
      REQUIRE(body_of(parse_http_answer(whole)) == "200 hello");
      for (std::size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        CHECK(refusal_of(parse_http_answer(whole.substr(0, length))) ==
              "answer torn after " + std::to_string(length) + " bytes");
      }
    }
  }

  TEST_CASE("what is no HTTP is refused, and why") {
    const auto table = std::vector<std::pair<std::string, std::string>>{
        {"SSH-2.0-OpenSSH_9.2\r\n", "bad status line"},
        {"{\"cilium\":{}}", "bad status line"},
        {"HTTP/2.0 200 OK\r\n\r\n", "bad status line"},
        {"HTTP/1.1 2000 OK\r\n\r\n", "bad status line"},
        {"HTTP/1.1 20 OK\r\n\r\n", "bad status line"},
        {"HTTP/1.1 +20 OK\r\n\r\n", "bad status line"},
        {"HTTP/1.1 999 OK\r\n\r\n", "bad status line"},
        {"HTTP/1.1 100 Continue\r\n\r\n", "bad status line"},
        {std::string("HTTP/1.1 200 O\0K\r\n\r\n", 19), "bad status line"},
        {with_header("no colon here\r\n", ""), "bad header line"},
        {with_header("Content-Length : 5\r\n", "hello"), "bad header line"},
        {with_header("A: b\r\n folded\r\n", ""), "bad header line"},
        {with_header(": b\r\n", ""), "bad header line"},
        {with_header("A: b\nContent-Length: 1\r\n", ""), "bad header line"},
        {with_header("Content-Length: -1\r\n", ""), "bad Content-Length"},
        {with_header("Content-Length: 0x10\r\n", ""), "bad Content-Length"},
        {with_header("Content-Length: 5, 5\r\n", "hello"), "bad Content-Length"},
        {with_header("Content-Length: 99999999999999999999\r\n", ""), "bad Content-Length"},
        {with_header("Content-Length:\r\n", ""), "bad Content-Length"},
        {with_header("Transfer-Encoding: gzip, chunked\r\n", ""), "unknown Transfer-Encoding"},
        {with_header("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""), "unknown Transfer-Encoding"},
        {with_header("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
         "both Content-Length and Transfer-Encoding"},
        {chunked("x\r\n"), "bad chunk size"},
        {chunked("-5\r\nhello\r\n0\r\n\r\n"), "bad chunk size"},
        {chunked("\r\nhello"), "bad chunk size"},
        {chunked("FFFFFFFFFFFFFFFF\r\n"), "bad chunk size"},
        {chunked("5\r\nhello!\r\n0\r\n\r\n"), "a chunk longer than it says"},
        {chunked(std::string(4096, '0')), "a chunk's first line of more than 4096 bytes"},
        {chunked("0\r\nno trailer\r\n\r\n"), "bad trailer"},
        {with_header("A: " + std::string(65536, 'a') + "\r\n", ""), "a header of more than 65536 bytes"},
    };
    for (const auto& entry : table) {
      const std::string& bytes = entry.first;
      CAPTURE(bytes.substr(0, 60));
      CHECK(refusal_of(parse_http_answer(bytes)) == "answer is no HTTP: " + entry.second);
    }
  }

  TEST_CASE("many short header lines are as limited as a long one") {
    std::string fields;
    while (fields.size() < 70'000) fields += "A: b\r\n";
    CHECK(refusal_of(parse_http_answer(with_header(fields, ""))) ==
          "answer is no HTTP: a header of more than 65536 bytes");
    CHECK(refusal_of(parse_http_answer(chunked("0\r\n" + fields + "\r\n"))) ==
          "answer is no HTTP: trailers of more than 65536 bytes");
  }

  TEST_CASE("one GET is made, and its answer comes back") {
    const fake::Server server(fake::answer(200, "{}"));
    CHECK(body_of(http_get(server.path(), "/v1/healthz", kLong)) == "200 {}");
    const std::string request = server.request();
    CHECK(request.substr(0, request.find("User-Agent")) == "GET /v1/healthz HTTP/1.1\r\nHost: localhost\r\n");
    CHECK(request.find("\r\nConnection: close\r\n") != std::string::npos);
    CHECK(request.substr(request.size() - 4) == "\r\n\r\n");
  }

  TEST_CASE("an answer is complete when it says so, even if the server keeps the connection") {
    const fake::Server server([](int connection) {
      fake::say(connection, chunked("2\r\nok\r\n0\r\n\r\n"));
      (void)::pause();
    });
    CHECK(body_of(http_get(server.path(), "/", kLong)) == "200 ok");
  }

  TEST_CASE("an answer in many pieces is put together") {
    const fake::Server server([](int connection) {
      for (const char c : chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")) fake::say(connection, std::string(1, c));
    });
    CHECK(body_of(http_get(server.path(), "/", kLong)) == "200 hello world");
  }

  TEST_CASE("an answer that ends with the connection is taken as it is") {
    const fake::Server server(std::string("HTTP/1.0 200 OK\r\n\r\nhello"));
    CHECK(body_of(http_get(server.path(), "/", kLong)) == "200 hello");
  }

  TEST_CASE("a silent server is given up on") {
    const fake::Server server([](int) { (void)::pause(); });
    CHECK(refusal_of(http_get(server.path(), "/", kShort)) == "no answer within 100 ms");
  }

  TEST_CASE("a server that drips is given up on: the deadline is for all of it") {
    const fake::Server server([](int connection) {
      fake::say(connection, "HTTP/1.1 200 OK\r\n\r\n");
      for (;;) {
        fake::say(connection, "x");
        (void)::usleep(10'000);
      }
    });
    CHECK(refusal_of(http_get(server.path(), "/", kShort)) == "no answer within 100 ms");
  }

  TEST_CASE("a server whose queue is full is given up on") {
    scratch::Folder folder;
    const conf::UniqueFd listener = fake::listen_on(folder.file("full.sock"), 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = folder.file("full.sock");
    std::memcpy(address.sun_path, path.data(), path.size());
    std::vector<conf::UniqueFd> waiting;
    for (int error = 0; error == 0;) {
      waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      const auto* to = reinterpret_cast<const sockaddr*>(&address);
      error = ::connect(waiting.back().get(), to, sizeof(address)) == 0 ? 0 : errno;
      if (error != 0) CHECK(error == EAGAIN);
    }
    CHECK(refusal_of(http_get(path, "/", kShort)) == "no answer within 100 ms");
  }

  TEST_CASE("a deadline of nothing is over before it begins") {
    const fake::Server server(fake::answer(200, "{}"));
    CHECK(refusal_of(http_get(server.path(), "/", milliseconds{0})) == "no answer within 0 ms");
  }

  TEST_CASE("an endless answer is given up on at the limit") {
    const fake::Server server([](int connection) {
      fake::say(connection, "HTTP/1.1 200 OK\r\n\r\n");
      fake::say(connection, std::string(std::size_t{8} << 20, 'x'));
    });
    CHECK(refusal_of(http_get(server.path(), "/", kLong)) == "answer of more than 4 MiB");
    CHECK(refusal_of(http_get(server.path(), "/", kLong, 1000)) == "answer of more than 1000 bytes");
  }

  TEST_CASE("an answer just within the limit is taken") {
    const std::string whole = fake::answer(200, "hello");
    const fake::Server server(whole);
    CHECK(body_of(http_get(server.path(), "/", kLong, whole.size())) == "200 hello");
    CHECK(refusal_of(http_get(server.path(), "/", kLong, whole.size() - 1)) ==
          "answer of more than " + std::to_string(whole.size() - 1) + " bytes");
  }

  TEST_CASE("a torn answer is no answer") {
    const std::string whole = fake::answer(200, "hello");
    const fake::Server server(whole.substr(0, whole.size() - 2));
    CHECK(refusal_of(http_get(server.path(), "/", kLong)) ==
          "answer torn after " + std::to_string(whole.size() - 2) + " bytes");
  }

  TEST_CASE("a server that hangs up without a word tore its answer") {
    const fake::Server server([](int) {});
    CHECK(refusal_of(http_get(server.path(), "/", kLong)) == "answer torn after 0 bytes");
  }

  TEST_CASE("a server that resets the connection tore its answer") {
    scratch::Folder folder;
    // Closed with the request unread, a unix socket resets instead of ending.
    const conf::UniqueFd listener = fake::listen_on(folder.file("rude.sock"), 4);
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      const conf::UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      char one = 0;
      const bool read = ::recv(connection.get(), &one, 1, 0) == 1;
      ::_exit(read ? 0 : 1);
    }
    CHECK(refusal_of(http_get(folder.file("rude.sock"), "/", kLong)) == "answer torn after 0 bytes");
    int status = -1;
    CHECK(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
  }

  TEST_CASE("a server that speaks something else is refused at its first bytes") {
    const fake::Server server([](int connection) {
      fake::say(connection, "220 mail.example ESMTP\r\n");
      (void)::pause();
    });
    CHECK(refusal_of(http_get(server.path(), "/", kLong)) == "answer is no HTTP: bad status line");
  }

  TEST_CASE("without a server the sentence says where and why, and not in the words containerd swallows") {
    scratch::Folder folder;
    const std::string absent = folder.file("absent.sock");
    CHECK(refusal_of(http_get(absent, "/", kLong)) == "connect " + absent + ": no such path");
    const std::string left = folder.file("left.sock");  // as SIGKILL leaves it
    (void)fake::listen_on(left, 1);
    CHECK(refusal_of(http_get(left, "/", kLong)) == "connect " + left + ": Connection refused");
  }

  TEST_CASE("a path that fits in no socket address is refused") {
    const std::string longest = "/" + std::string(107, 'x');
    CHECK(refusal_of(http_get(longest, "/", kLong)) == "connect " + longest + ": a socket's path has 1 to 107 bytes");
    CHECK(refusal_of(http_get("", "/", kLong)) == "connect : a socket's path has 1 to 107 bytes");
    const std::string fits = longest.substr(0, 107);
    CHECK(refusal_of(http_get(fits, "/", kLong)) == "connect " + fits + ": no such path");
  }

  TEST_CASE("a target cannot break out of its line") {
    for (const std::string target : {"", "v1", "/a b", "/a\r\nHost: x", "/\xC3\xA4"}) {
      CAPTURE(target);
      CHECK(refusal_of(http_get("/x", target, kLong)) == "a request's target starts with / and is printable ASCII");
    }
  }
}
