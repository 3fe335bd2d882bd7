// SPDX-License-Identifier: Apache-2.0
#include "netlink/link.h"

#include <doctest/doctest.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstring>
#include <vector>

#include "tests/support/scratch.h"

using netlink::decode_link;
using netlink::delete_link;
using netlink::find_link;
using netlink::Link;
using netlink::Socket;

namespace {

using Bytes = std::vector<std::byte>;

void append_attribute(Bytes& to, std::uint16_t type, const Bytes& payload) {
  const nlattr head{.nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + payload.size()), .nla_type = type};
  const auto at = to.size();
  to.resize(at + sizeof(head));
  std::memcpy(to.data() + at, &head, sizeof(head));
  to.insert(to.end(), payload.begin(), payload.end());
  to.resize((to.size() + 3) / 4 * 4);
}

Bytes text(const std::string& words) {
  Bytes made;
  for (const char c : words) made.push_back(static_cast<std::byte>(c));
  made.push_back(std::byte{0});
  return made;
}

Bytes number(std::uint32_t value) {
  Bytes made(sizeof(value));
  std::memcpy(made.data(), &value, sizeof(value));
  return made;
}

Bytes link_message(std::uint16_t type, int index, unsigned flags, const Bytes& attributes) {
  const nlmsghdr header{.nlmsg_len = static_cast<std::uint32_t>(NLMSG_SPACE(sizeof(ifinfomsg)) + attributes.size()),
                        .nlmsg_type = type,
                        .nlmsg_flags = 0,
                        .nlmsg_seq = 1,
                        .nlmsg_pid = 1};
  ifinfomsg info{};
  info.ifi_index = index;
  info.ifi_flags = flags;
  Bytes message(NLMSG_SPACE(sizeof(ifinfomsg)));
  std::memcpy(message.data(), &header, sizeof(header));
  std::memcpy(message.data() + NLMSG_HDRLEN, &info, sizeof(info));
  message.insert(message.end(), attributes.begin(), attributes.end());
  return message;
}

Bytes veth_attributes() {
  Bytes kind;
  append_attribute(kind, IFLA_INFO_KIND, text("veth"));
  Bytes attributes;
  append_attribute(attributes, IFLA_IFNAME, text("eth0"));
  append_attribute(attributes, IFLA_LINKINFO, kind);
  append_attribute(attributes, IFLA_MTU, number(1450));
  return attributes;
}

Socket open_route() { return Socket::open(NETLINK_ROUTE); }

}  // namespace

TEST_SUITE("netlink.link") {
  TEST_CASE("a link is read from its message") {
    const auto link = decode_link(link_message(RTM_NEWLINK, 7, IFF_UP, veth_attributes()));
    REQUIRE(link);
    CHECK(*link == Link{.index = 7, .name = "eth0", .kind = "veth", .up = true, .mtu = 1450});
  }

  TEST_CASE("a VXLAN device tells its UDP port, other kinds have none") {
    const auto with_data = [](const std::string& kind, const Bytes& port) {
      Bytes data;
      append_attribute(data, IFLA_VXLAN_PORT, port);
      Bytes info;
      append_attribute(info, IFLA_INFO_KIND, text(kind));
      append_attribute(info, IFLA_INFO_DATA, data);
      Bytes attributes;
      append_attribute(attributes, IFLA_IFNAME, text("flannel.1"));
      append_attribute(attributes, IFLA_LINKINFO, info);
      const auto link = decode_link(link_message(RTM_NEWLINK, 7, 0, attributes));
      REQUIRE(link);
      CHECK(link->kind == kind);
      return link->vxlan_port;
    };
    const Bytes port = {std::byte{0x21}, std::byte{0x18}};
    CHECK(with_data("vxlan", port) == 8472);
    CHECK(with_data("vlan", port) == 0);
    CHECK(with_data("vxlan", {std::byte{0x21}}) == 0);
  }

  TEST_CASE("a physical device has no kind") {
    Bytes attributes;
    append_attribute(attributes, IFLA_IFNAME, text("ens3"));
    const auto link = decode_link(link_message(RTM_NEWLINK, 2, 0, attributes));
    REQUIRE(link);
    CHECK(*link == Link{.index = 2, .name = "ens3", .kind = "", .up = false, .mtu = 0});
  }

  TEST_CASE("a link message cut short anywhere is refused") {
    const Bytes whole = link_message(RTM_NEWLINK, 7, IFF_UP, veth_attributes());
    for (std::size_t length = 0; length < whole.size(); ++length) {
      CAPTURE(length);
      CHECK_FALSE(decode_link(std::span(whole).first(length)).has_value());
    }
  }

  TEST_CASE("what is no link is refused") {
    CHECK_FALSE(decode_link(link_message(RTM_DELLINK, 7, 0, veth_attributes())).has_value());
    CHECK_FALSE(decode_link(link_message(RTM_NEWLINK, 0, 0, veth_attributes())).has_value());
    CHECK_FALSE(decode_link(link_message(RTM_NEWLINK, 7, 0, {})).has_value());
    Bytes broken = veth_attributes();
    broken[12] = std::byte{3};  // the kind's own attribute, shorter than its header
    broken[16] = std::byte{3};
    CHECK_FALSE(decode_link(link_message(RTM_NEWLINK, 7, 0, broken)).has_value());
  }

  TEST_CASE("the kernel's VXLAN devices tell their ports") {
    const scratch::Host host;
    scratch::sh(
        "ip link add flannel.1 type vxlan id 1 dstport 8472 && ip link add cilium_vxlan type vxlan external dstport "
        "8473");
    Socket socket = open_route();
    REQUIRE(find_link(socket, "flannel.1"));
    CHECK(find_link(socket, "flannel.1")->vxlan_port == 8472);
    REQUIRE(find_link(socket, "cilium_vxlan"));
    CHECK(find_link(socket, "cilium_vxlan")->vxlan_port == 8473);
    CHECK(find_link(socket, "lo")->vxlan_port == 0);
  }

  TEST_CASE("a link is found as ip shows it") {
    const scratch::Host host;
    scratch::sh("ip link add vethA mtu 1400 type veth peer name vethB && ip link set vethA up");
    Socket socket = open_route();
    const auto up = find_link(socket, "vethA");
    const auto down = find_link(socket, "vethB");
    REQUIRE(up);
    REQUIRE(down);
    CHECK(scratch::sh("ip -o link show vethA").substr(0, 2) == std::to_string(up->index) + ":");
    CHECK(up->name == "vethA");
    CHECK(up->kind == "veth");
    CHECK(up->up);
    CHECK(up->mtu == 1400);
    CHECK_FALSE(down->up);
    CHECK(find_link(socket, "lo")->kind.empty());
  }

  TEST_CASE("a name that nobody has finds nothing") {
    const scratch::Host host;
    Socket socket = open_route();
    CHECK_FALSE(find_link(socket, "eth0").has_value());
    CHECK_FALSE(find_link(socket, "").has_value());
    CHECK_FALSE(find_link(socket, "sixteen-letters.").has_value());
  }

  TEST_CASE("a link is deleted once, and its peer with it") {
    const scratch::Host host;
    scratch::sh("ip link add vethA type veth peer name vethB");
    Socket socket = open_route();
    CHECK(delete_link(socket, "vethA"));
    CHECK_FALSE(delete_link(socket, "vethA"));
    CHECK_FALSE(delete_link(socket, "vethB"));
    CHECK(scratch::sh("ip -o link show | wc -l") == "1");
  }

  TEST_CASE("a name too long for a link does not delete the link it begins with") {
    const scratch::Host host;
    scratch::sh("ip link add fifteen-letters type veth peer name other");
    Socket socket = open_route();
    CHECK_FALSE(delete_link(socket, "fifteen-lettersX"));
    CHECK_FALSE(delete_link(socket, std::string_view("fifteen-letters\0X", 17)));
    CHECK(find_link(socket, "fifteen-letters").has_value());
  }

  TEST_CASE("a link that the kernel does not give up is code 5 with its reason") {
    const scratch::Host host;
    Socket socket = open_route();
    const conf::CniError error = scratch::error_of([&] { (void)delete_link(socket, "lo"); });
    CHECK(error.code() == 5);
    CHECK(error.msg() == "link request refused by the kernel");
    CHECK(error.details() == "ip link delete lo: Operation not supported");
  }
}
