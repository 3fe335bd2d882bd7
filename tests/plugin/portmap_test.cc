// SPDX-License-Identifier: Apache-2.0
#include "plugin/portmap.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <vector>

#include "tests/plugin/port_world.h"
#include "tests/support/refusal.h"

namespace plugin {
namespace {

using conf::Code;
using conf::Verb;
using support::check_refusal;
using support::refusal_of;

TEST_SUITE_BEGIN("plugin.portmap");
TEST_CASE("without hostPorts the result passes and nothing is asked of the kernel or the disk") {
  PortWorld world;
  CHECK(world.add(1, "[]") == PortWorld::result(1));
  CHECK(world.machine.ruleset.looks() == 0);
  CHECK(world.machine.fate.steps() == 0);
  CHECK(world.machine.fate.looks() == 0);
  CHECK(world.del(1).empty());
  CHECK(world.machine.ruleset.looks() == 0);
  CHECK(world.machine.fate.steps() == 1);  // the record that is not there is removed
}

TEST_CASE("a first ADD makes the table in one batch and the mapping in another, a second ADD needs one") {
  PortWorld world;
  CHECK(world.add(1, kWeb) == PortWorld::result(1));
  CHECK(world.machine.ruleset.commits().size() == 1);  // the table, with all that is on record
  CHECK(world.elements(1) == 8);  // key, hairpin and same link twice; from 127.0.0.1; the link itself
  CHECK(world.localnet() == "1\n");
  world.machine.ruleset.forget_calls();
  (void)world.add(2, R"([{"hostPort":8081,"containerPort":80,"protocol":"tcp"}])");
  CHECK(world.machine.ruleset.commits().size() == 1);
  CHECK(world.records() == 2);
}

TEST_CASE("prevResult is required") {
  PortWorld world;
  check_refusal(refusal_of([&] { return world.call(Verb::kAdd, 1, R"({"cniVersion":"1.0.0","name":"net"})"); }),
                Code::kInvalidConfig, "required key missing",
                "`prevResult` must be there: this plugin is to follow the one that attaches the pod");
}

TEST_CASE("a key of a living pod is refused with both names, and nothing is left of the attempt") {
  PortWorld world;
  (void)world.add(1, kWeb);
  const auto before = world.machine.ruleset.snapshot();
  const conf::CniError error = refusal_of([&] { return world.add(2, kWeb); });
  CHECK(error.code() == 120);
  CHECK(error.msg() == "hostPort is taken");
  CHECK(error.details() ==
        "tcp 0.0.0.0:8080 is held by container c1 eth0 (pod default/pod-c1), wanted by container c2 eth0 (pod "
        "default/pod-c2)");
  CHECK(world.machine.ruleset.snapshot() == before);
  CHECK(world.records() == 1);
}

TEST_CASE("a key of a dead pod is taken over, and the dead one's DEL leaves it alone") {
  PortWorld world;
  (void)world.add(1, kWeb);
  world.machine.namespaces.remove("/run/netns/1");
  (void)world.add(2, kWeb);
  CHECK(world.elements(2) == 7);  // all but the link, which has its holder
  (void)world.del(1);
  CHECK(world.elements(1) == 0);
  CHECK(world.elements(2) == 8);
  CHECK(world.localnet() == "1\n");
  CHECK_NOTHROW(world.check(2, kWeb));
}

TEST_CASE("a pod that comes again under the address of a dead one gets elements of its own") {
  PortWorld world;
  (void)world.add(1, kWeb);
  world.machine.namespaces.remove("/run/netns/1");
  System system = world.machine.process();
  (void)world.pod(2);
  (void)dispatch(system, Role::kPortmap, world.machine.request(Verb::kAdd, "c2", "/run/netns/2"),
                 world.config(1, kWeb));
  CHECK(world.elements(2) == 7);  // but the link, which has its owner
  (void)world.del(1);
  CHECK(world.elements(2) == 8);
}

TEST_CASE("an ADD that is tried again replaces what the first one made") {
  PortWorld world;
  (void)world.add(1, kWeb);
  (void)world.add(1, kDns);
  CHECK(world.elements(1) == 8);
  CHECK_NOTHROW(world.check(1, kDns));
  CHECK(world.records() == 1);
}

TEST_CASE("DEL needs nothing but the record, and succeeds twice") {
  PortWorld world;
  (void)world.add(1, kWeb);
  CHECK(world.del(1).empty());
  CHECK(world.elements(1) == 0);
  CHECK(world.records() == 0);
  CHECK(world.localnet() == "0\n");
  CHECK(world.del(1).empty());
}

TEST_CASE("DEL without its record takes out the keys that are asked for and its own") {
  PortWorld world;
  (void)world.add(1, kWeb);
  (void)world.add(2, kDns);
  world.machine.real_disk.remove(world.machine.state_dir() + "/ports/c1:eth0");
  (void)world.call(Verb::kDel, 1, world.config(1, kWeb));
  (void)world.call(Verb::kDel, 1, world.config(1, kDns));
  CHECK(world.elements(1) == 3);  // those of a bridge that nobody remembers, and the link
  CHECK_NOTHROW(world.check(2, kDns));
}

TEST_CASE("a link stays open until the last pod that needs it is gone") {
  PortWorld world;
  (void)world.add(1, kWeb);
  (void)world.add(2, kDns);
  (void)world.del(1);
  CHECK(world.localnet() == "1\n");
  CHECK_NOTHROW(world.check(2, kDns));
  (void)world.del(2);
  CHECK(world.localnet() == "0\n");
}

TEST_CASE("a link that somebody else has opened is left as it is") {
  PortWorld world;
  world.machine.write(world.localnet_file(), "1\n");
  (void)world.add(1, kWeb);
  CHECK(world.elements(1) == 7);
  (void)world.del(1);
  CHECK(world.localnet() == "1\n");
}

TEST_CASE("what a flush of the ruleset took is put back by the next ADD, in one batch") {
  PortWorld world;
  (void)world.add(1, kWeb);
  (void)world.add(2, kDns);
  const auto before = world.machine.ruleset.snapshot();
  world.machine.ruleset.flush_ruleset();
  world.machine.ruleset.forget_calls();
  (void)world.add(3, R"([{"hostPort":8081,"containerPort":80,"protocol":"sctp"}])");
  CHECK(world.machine.ruleset.commits().size() == 1);
  (void)world.del(3);
  CHECK(world.machine.ruleset.snapshot() == before);
}

TEST_CASE("CHECK says what is not as the ADD left it") {
  PortWorld world;
  (void)world.add(1, kWeb);
  CHECK_NOTHROW(world.check(1, kWeb));
  CHECK(refusal_of([&] { return world.check(1, kDns); }).code() == 121);
  CHECK(refusal_of([&] { return world.check(1, kWeb, R"(,"masqAll":true)"); }).code() == 121);
  CHECK(refusal_of([&] { return world.check(2, kWeb); }).details() == "c2 eth0: there is no record of them");
  world.machine.write(world.localnet_file(), "0\n");
  CHECK(refusal_of([&] { return world.check(1, kWeb); }).details() ==
        "c1 eth0: route_localnet of cni0 is not set; `crossover reconcile` puts them back");
  world.machine.ruleset.flush_ruleset();
  CHECK(refusal_of([&] { return world.check(1, kWeb); }).details().find("chain hostports_raw is not as it must be") !=
        std::string::npos);
}

TEST_CASE("GC removes this network's attachments that are not listed, and those of earlier boots") {
  PortWorld world;
  const auto gc = [&world](std::string_view name, std::string_view rest) {
    return world.call(Verb::kGc, 0,
                      R"({"cniVersion":"1.1.0","name":")" + std::string(name) + R"(","stateDir":")" +
                          world.machine.state_dir() + "\"" + std::string(rest) + "}");
  };
  (void)world.add(1, kWeb);
  (void)world.add(2, kDns);
  (void)gc("net", "");
  (void)gc("other", R"(,"cni.dev/valid-attachments":[])");
  CHECK(world.records() == 2);
  (void)gc("net", R"(,"cni.dev/valid-attachments":[{"containerID":"c2","ifname":"eth0"}])");
  CHECK(world.elements(1) == 0);
  CHECK_NOTHROW(world.check(2, kDns));
  world.machine.boot_id = "b002";
  (void)gc("other", R"(,"cni.dev/valid-attachments":[])");
  CHECK(world.records() == 0);
}

TEST_CASE("STATUS says why nf_tables cannot be used") {
  PortWorld world;
  const std::string config = R"({"cniVersion":"1.1.0","name":"net"})";
  CHECK(world.call(Verb::kStatus, 0, config).empty());
  world.machine.ruleset.fail_looks(conf::system_error(Code::kIo, "list", "tables", EPERM));
  check_refusal(refusal_of([&] { return world.call(Verb::kStatus, 0, config); }), Code::kNotAvailable,
                "hostPorts cannot be mapped",
                "nf_tables cannot be used: system call failed: list tables: Operation not permitted");
}

TEST_CASE("a refusal of the kernel ends the ADD with its reason, and leaves nothing") {
  for (const int error : {EPERM, EOPNOTSUPP, ENOMEM}) {
    PortWorld world;
    (void)world.add(1, kWeb);
    world.machine.ruleset.refuse_next(error);
    const conf::CniError refused = refusal_of([&] { return world.add(2, kDns); });
    CHECK(refused.code() == 5);
    CHECK(refused.msg() == "ruleset change refused by the kernel");
    CHECK(world.records() == 1);
    CHECK(world.elements(2) == 0);
  }
}

TEST_CASE("a ruleset that others change is read and decided again, and a lost answer is looked up") {
  PortWorld world;
  (void)world.add(1, kWeb);
  world.machine.ruleset.disturb(20);
  (void)world.del(1);
  CHECK(world.elements(1) == 0);
  world.machine.ruleset.refuse_next(ENOBUFS, true);
  (void)world.add(1, kWeb);
  CHECK_NOTHROW(world.check(1, kWeb));
  world.machine.ruleset.disturb(100000);
  CHECK(refusal_of([&] { return world.del(1); }).code() == 11);
  CHECK(world.records() == 1);
}

TEST_CASE("UDP flows that began elsewhere end with the ADD, those to the pod with its DEL, and no others") {
  PortWorld world;
  const auto flow = [](std::string_view to, std::uint16_t port, std::string_view from, std::uint16_t from_port) {
    netlink::Flow out;
    out.original = {.source = *conf::IpAddr::parse("192.0.2.7"),
                    .destination = *conf::IpAddr::parse(to),
                    .protocol = 17,
                    .source_port = 999,
                    .destination_port = port};
    out.reply = {.source = *conf::IpAddr::parse(from),
                 .destination = *conf::IpAddr::parse("192.0.2.7"),
                 .protocol = 17,
                 .source_port = from_port,
                 .destination_port = 999};
    return out;
  };
  const std::vector<netlink::Flow> others = {flow("192.0.2.1", 54, "192.0.2.1", 54),
                                             flow("198.51.100.1", 53, "198.51.100.1", 53)};
  world.machine.flows.flows = others;
  world.machine.flows.flows.push_back(flow("192.0.2.1", 53, "10.1.0.77", 5353));
  (void)world.add(1, kDns);
  CHECK(world.machine.flows.flows == others);
  CHECK(world.machine.flows.dumps == 2);
  world.machine.flows.flows.push_back(flow("192.0.2.1", 53, "10.1.0.1", 5353));
  (void)world.del(1);
  CHECK(world.machine.flows.flows == others);
  (void)world.add(2, kWeb);
  CHECK(world.machine.flows.dumps == 4);  // TCP ends by itself
}

TEST_CASE("conditions of the pod are a pair of chains, and go with a restore when nobody has them any more") {
  PortWorld world;
  const std::string_view conditions = R"(,"conditionsV4":["ip saddr 192.0.2.0/24"])";
  (void)world.add(1, kWeb, conditions);
  CHECK_NOTHROW(world.check(1, kWeb, conditions));
  const std::size_t chains = world.machine.ruleset.chains(PortWorld::crossover()).size();
  (void)world.add(2, kDns, conditions);
  CHECK(world.machine.ruleset.chains(PortWorld::crossover()).size() == chains);
  CHECK_NOTHROW(world.check(1, kWeb, conditions));
  (void)world.add(3, R"([{"hostPort":8081,"containerPort":80,"protocol":"tcp"}])",
                  R"(,"conditionsV4":["ip saddr 203.0.113.0/24"])");
  CHECK(world.machine.ruleset.chains(PortWorld::crossover()).size() == chains + 2);
  CHECK_NOTHROW(world.check(1, kWeb, conditions));

  netlink::NftBatch flush;  // `nft flush table`: chains, sets and elements stay
  flush.add(netlink::FlushRules{.table = PortWorld::crossover(), .chain = ""});
  REQUIRE(world.machine.ruleset.commit(flush).done());
  (void)world.add(2, kDns, conditions);
  CHECK_NOTHROW(world.check(1, kWeb, conditions));
  CHECK_NOTHROW(world.check(2, kDns, conditions));
}
TEST_SUITE_END();

}  // namespace
}  // namespace plugin
