// SPDX-License-Identifier: Apache-2.0
#include "plugin/agent.h"

#include <doctest/doctest.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/plugin/fake_server.h"

using plugin::AgentConfig;
using plugin::AgentHealth;
using plugin::Endpoint;
using plugin::parse_agent_config;
using plugin::parse_health;
using plugin::SocketAgent;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kLong{60'000};

std::string recorded(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(TEST_DATA "/agent/" + name).rdbuf();
  REQUIRE_FALSE(text.str().empty());
  return text.str();
}

Endpoint endpoint_for(int status) {
  const fake::Server server(fake::answer(status, R"({"id":7})"));
  return SocketAgent().endpoint(server.path(), "abc123", "eth0", kLong);
}

}  // namespace

TEST_SUITE("plugin.agent") {
  TEST_CASE("an agent in charge of the node's list says so") {
    const AgentHealth health = parse_health(recorded("healthz.json"));
    CHECK(health.answered);
    CHECK(health.problem.empty());
    CHECK(health.state == "Ok");
    CHECK(health.cni_file_state == "Ok");
    CHECK(health.healthy());
  }

  TEST_CASE("an agent beside the legacy network says Disabled") {
    const AgentHealth health = parse_health(recorded("healthz-secondary.json"));
    CHECK(health.healthy());
    CHECK(health.cni_file_state == "Disabled");
  }

  TEST_CASE("an answer without cni-file leaves it empty") {
    const AgentHealth health = parse_health(recorded("healthz-brief.json"));
    CHECK(health.healthy());
    CHECK(health.cni_file_state.empty());
  }

  TEST_CASE("an agent that is not well says so") {
    const AgentHealth failing = parse_health(R"({"cilium":{"state":"Failure","msg":"no kvstore"},"x":[1]})");
    CHECK(failing.answered);
    CHECK(failing.state == "Failure");
    CHECK_FALSE(failing.healthy());
    CHECK(parse_health(R"({"cilium":{"state":"Warning"}})").healthy());
    CHECK_FALSE(parse_health(R"({"cilium":{"state":"Disabled"}})").healthy());
  }

  TEST_CASE("an answer without a state is no health") {
    for (const std::string body : {"{}", R"({"cilium":null})", R"({"cilium":[]})", R"({"cilium":{"state":1}})"}) {
      CAPTURE(body);
      const AgentHealth health = parse_health(body);
      CHECK(health.answered);
      CHECK(health.problem == "/v1/healthz: no cilium.state in the answer");
      CHECK_FALSE(health.healthy());
    }
  }

  TEST_CASE("an odd cni-file is as good as none") {
    for (const std::string odd : {"null", "[]", "\"Ok\"", "{}", R"({"state":true})"}) {
      CAPTURE(odd);
      const AgentHealth health = parse_health(R"({"cilium":{"state":"Ok"},"cni-file":)" + odd + "}");
      CHECK(health.healthy());
      CHECK(health.cni_file_state.empty());
    }
  }

  TEST_CASE("whether the agent maps hostPorts itself is told by the feature, else by the mode, else not at all") {
    using Maps = std::optional<bool>;
    CHECK(parse_health(recorded("healthz.json")).host_ports == Maps(false));
    CHECK(parse_health(recorded("healthz-brief.json")).host_ports == Maps());
    const std::vector<std::pair<std::string, Maps>> said = {
        {R"({"mode":"True","features":{"hostPort":{"enabled":true}}})", true},
        {R"({"mode":"Partial","features":{"hostPort":{"enabled":true}}})", true},
        {R"({"mode":"True","features":{"hostPort":{}}})", false},
        {R"({"mode":"True"})", true},
        {R"({"mode":"Strict","features":{}})", true},
        {R"({"mode":"Probe"})", false},
        {R"({"mode":"Disabled"})", false},
        {R"({"features":{"hostPort":{"enabled":true}}})", Maps()},
        {R"([])", Maps()},
    };
    for (const auto& one : said) {
      CAPTURE(one.first);
      CHECK(parse_health(R"({"cilium":{"state":"Ok"},"kube-proxy-replacement":)" + one.first + "}").host_ports ==
            one.second);
    }
  }

  TEST_CASE("what is no JSON object is no answer") {
    for (const std::string body : {"", "Ok", "[]", "{\"cilium\":", "{\"cilium\":{\"state\":\"\xFF\"}}"}) {
      CAPTURE(body);
      const AgentHealth health = parse_health(body);
      CHECK_FALSE(health.answered);
      CHECK(health.problem.find("/v1/healthz") != std::string::npos);
    }
  }

  TEST_CASE("health is asked for at /v1/healthz") {
    const fake::Server server(fake::answer(200, recorded("healthz.json")));
    const AgentHealth health = SocketAgent().health(server.path(), kLong);
    CHECK(health.healthy());
    CHECK(health.cni_file_state == "Ok");
    CHECK(server.request().substr(0, 26) == "GET /v1/healthz HTTP/1.1\r\n");
  }

  TEST_CASE("an agent that answers with an error has no health") {
    const fake::Server server(fake::answer(503, "{\"cilium\":{\"state\":\"Ok\"}}"));
    const AgentHealth health = SocketAgent().health(server.path(), kLong);
    CHECK_FALSE(health.answered);
    CHECK(health.problem == "/v1/healthz: HTTP status 503");
  }

  TEST_CASE("an agent that is not there has no health") {
    scratch::Folder folder;
    const std::string path = folder.file("cilium.sock");
    const AgentHealth health = SocketAgent().health(path, kLong);
    CHECK_FALSE(health.answered);
    CHECK_FALSE(health.healthy());
    CHECK(health.problem == "connect " + path + ": no such path");
  }

  TEST_CASE("an agent that hangs has no health after the deadline") {
    const fake::Server server([](int) { (void)::pause(); });
    const AgentHealth health = SocketAgent().health(server.path(), milliseconds{50});
    CHECK_FALSE(health.answered);
    CHECK(health.problem == "no answer within 50 ms");
  }

  TEST_CASE("a recorded configuration tells the mode of IPAM and the MTU of routes, asked for at /v1/config") {
    const fake::Server server(fake::answer(200, recorded("config.json")));
    const AgentConfig config = SocketAgent().config(server.path(), kLong);
    CHECK(config.ipam_mode == "cluster-pool");
    CHECK(config.route_mtu == 1400);
    CHECK(server.request().substr(0, 25) == "GET /v1/config HTTP/1.1\r\n");
  }

  TEST_CASE("what a configuration does not say, or says oddly, is empty") {
    const auto says = [](const std::string& body, const std::string& mode, std::uint32_t mtu) {
      CAPTURE(body);
      const AgentConfig config = parse_agent_config(body);
      CHECK(config.ipam_mode == mode);
      CHECK(config.route_mtu == mtu);
    };
    says(R"({"status":{"ipam-mode":"eni","routeMTU":9001}})", "eni", 9001);
    says(R"({"status":{"ipam-mode":"eni"}})", "eni", 0);
    says(R"({"status":{"ipam-mode":7,"routeMTU":1500}})", "", 1500);
    for (const std::string mtu : {"0", "-1", "65536", "1e99", "1400.5", "\"1400\"", "null", "[]"})
      says(R"({"status":{"ipam-mode":"eni","routeMTU":)" + mtu + "}}", "eni", 0);
    says(R"({"status":{"routeMTU":65535}})", "", 65535);
    for (const std::string body : {"", "{", "[]", "7", "{}", R"({"status":[]})", R"({"ipam-mode":"eni"})"})
      says(body, "", 0);
  }

  TEST_CASE("without an agent, from one that refuses, tears its answer or hangs, there is no configuration") {
    const auto empty = [](const std::string& socket, milliseconds deadline) {
      const AgentConfig config = SocketAgent().config(socket, deadline);
      CHECK(config.ipam_mode.empty());
      CHECK(config.route_mtu == 0);
    };
    scratch::Folder folder;
    empty(folder.file("cilium.sock"), kLong);
    const fake::Server refuses(fake::answer(403, recorded("config.json")));
    empty(refuses.path(), kLong);
    const std::string whole = fake::answer(200, recorded("config.json"));
    const fake::Server tears(whole.substr(0, whole.size() / 2));
    empty(tears.path(), kLong);
    const fake::Server hangs([](int) { (void)::pause(); });
    empty(hangs.path(), milliseconds{50});
  }

  TEST_CASE("an endpoint is there, is not, or is unknown") {
    CHECK(endpoint_for(200) == Endpoint::kPresent);
    CHECK(endpoint_for(404) == Endpoint::kAbsent);
    for (const int status : {204, 301, 400, 403, 429, 500, 503}) {
      CAPTURE(status);
      CHECK(endpoint_for(status) == Endpoint::kUnknown);
    }
  }

  TEST_CASE("an agent that knows no attachments is asked for the container, as those before 1.15 are") {
    const auto asked_of_old = [](const std::string& container_answer, const std::string& ifname) {
      const fake::Server server([&](int connection, const std::string& request) {
        const bool by_container = request.find("/v1/endpoint/container-id:a%2F1 ") != std::string::npos;
        fake::say(connection, by_container ? container_answer : fake::answer(400, "\"unknown endpoint prefix\""));
      });
      return SocketAgent().endpoint(server.path(), "a/1", ifname, kLong);
    };
    CHECK(asked_of_old(fake::answer(200, R"({"id":7})"), "eth0") == Endpoint::kPresent);
    CHECK(asked_of_old(fake::answer(200, R"({"id":7})"), "net1") == Endpoint::kUnknown);
    CHECK(asked_of_old(fake::answer(404, ""), "eth0") == Endpoint::kAbsent);
    CHECK(asked_of_old(fake::answer(400, ""), "eth0") == Endpoint::kUnknown);
    CHECK(asked_of_old(fake::answer(200, R"({"id":7})").substr(0, 30), "eth0") == Endpoint::kUnknown);
  }

  TEST_CASE("both questions about an endpoint share one deadline") {
    const fake::Server server([](int connection, const std::string& request) {
      if (request.find("cni-attachment-id") == std::string::npos) (void)::pause();
      fake::say(connection, fake::answer(400, ""));
    });
    CHECK(SocketAgent().endpoint(server.path(), "a1", "eth0", milliseconds{100}) == Endpoint::kUnknown);
  }

  TEST_CASE("without an agent, or with a torn answer, an endpoint is unknown") {
    scratch::Folder folder;
    CHECK(SocketAgent().endpoint(folder.file("cilium.sock"), "abc", "eth0", kLong) == Endpoint::kUnknown);
    const fake::Server server(fake::answer(200, "{}").substr(0, 40));
    CHECK(SocketAgent().endpoint(server.path(), "abc", "eth0", kLong) == Endpoint::kUnknown);
  }

  TEST_CASE("an endpoint is asked for by attachment, whatever its names hold") {
    const fake::Server server(fake::answer(404, ""));
    SUBCASE("plain") {
      (void)SocketAgent().endpoint(server.path(), "a1-B2_c.3", "eth0", kLong);
      const std::string line = "GET /v1/endpoint/cni-attachment-id:a1-B2_c.3:eth0 HTTP/1.1\r\n";
      CHECK(server.request().substr(0, line.size()) == line);
    }
    SUBCASE("hostile") {
      (void)SocketAgent().endpoint(server.path(), "a/b:c?d#e%f", "e h\xC3\xA4\r\n@0", kLong);
      const std::string line =
          "GET /v1/endpoint/cni-attachment-id:a%2Fb%3Ac%3Fd%23e%25f:e%20h%C3%A4%0D%0A%400 HTTP/1.1\r\n";
      CHECK(server.request().substr(0, line.size()) == line);
    }
  }
}
