// SPDX-License-Identifier: Apache-2.0
#include "netlink/link.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <vector>

#include "conf/error.h"
#include "netlink/attribute.h"
#include "netlink/message.h"

namespace netlink {
namespace {

// The kernel refuses others with an errno that says less.
bool can_be_a_name(std::string_view name) {
  return !name.empty() && name.size() < IFNAMSIZ && name.find('\0') == std::string_view::npos;
}

conf::CniError link_error(std::string_view what, std::string_view name, const Ack& ack) {
  return conf::CniError(conf::Code::kIo, "link request refused by the kernel",
                        std::string(what) + " " + std::string(name) + ": " + ack.str());
}

std::vector<std::byte> named_request(std::uint16_t type, std::string_view name) {
  const ifinfomsg any{};  // index 0: the name tells which
  MessageWriter writer;
  writer.begin(type, NLM_F_REQUEST, std::as_bytes(std::span(&any, 1)));
  writer.text(IFLA_IFNAME, name);
  return writer.take();
}

struct LinkInfo {
  std::string kind;
  std::uint16_t vxlan_port = 0;
};

std::uint16_t vxlan_port_in(const Attribute& data) {
  const auto attributes = read_attributes(data.payload);
  const Attribute* port = attributes ? find_attribute(*attributes, IFLA_VXLAN_PORT) : nullptr;
  return port == nullptr ? 0 : as_be16(*port).value_or(0);
}

std::optional<LinkInfo> read_link_info(std::span<const std::byte> link_info) {
  const auto attributes = read_attributes(link_info);
  if (!attributes) return std::nullopt;
  LinkInfo out;
  if (const Attribute* kind = find_attribute(*attributes, IFLA_INFO_KIND)) out.kind = as_text(*kind);
  const Attribute* data = find_attribute(*attributes, IFLA_INFO_DATA);
  if (out.kind == "vxlan" && data != nullptr) out.vxlan_port = vxlan_port_in(*data);
  return out;
}

}  // namespace

std::vector<std::byte> encode_link_dump() {
  const ifinfomsg all{};
  MessageWriter writer;
  writer.begin(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, std::as_bytes(std::span(&all, 1)));
  writer.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);  // most of the bytes
  return writer.take();
}

std::optional<Link> decode_link(std::span<const std::byte> message) {
  const auto link = read_message<ifinfomsg>(message, RTM_NEWLINK);
  if (!link || link->header.ifi_index <= 0) return std::nullopt;
  const Attribute* name = find_attribute(link->attributes, IFLA_IFNAME);
  if (name == nullptr) return std::nullopt;
  const Attribute* mtu = find_attribute(link->attributes, IFLA_MTU);
  const Attribute* link_info = find_attribute(link->attributes, IFLA_LINKINFO);
  const std::optional<LinkInfo> info = link_info == nullptr ? LinkInfo{} : read_link_info(link_info->payload);
  if (!info) return std::nullopt;
  return Link{.index = static_cast<std::uint32_t>(link->header.ifi_index),
              .name = as_text(*name),
              .kind = info->kind,
              .up = (link->header.ifi_flags & IFF_UP) != 0,
              .mtu = mtu == nullptr ? 0 : as_u32(*mtu).value_or(0),
              .vxlan_port = info->vxlan_port};
}

std::optional<Link> find_link(Socket& socket, std::string_view name) {
  if (!can_be_a_name(name)) return std::nullopt;
  std::vector<std::byte> message = named_request(RTM_GETLINK, name);
  std::optional<Link> found;
  const Ack ack = socket.request(message, [&found](std::span<const std::byte> answer) {
    if (std::optional<Link> link = decode_link(answer)) found = std::move(link);
  });
  if (ack.error == ENODEV) return std::nullopt;
  if (!ack.ok()) throw link_error("ip link show", name, ack);
  if (!found) throw link_error("ip link show", name, Ack{.error = EBADMSG, .sentence = "no link in the answer"});
  return found;
}

bool delete_link(Socket& socket, std::string_view name) {
  if (!can_be_a_name(name)) return false;
  std::vector<std::byte> message = named_request(RTM_DELLINK, name);
  const Ack ack = socket.request(message);
  if (ack.error == ENODEV) return false;
  if (!ack.ok()) throw link_error("ip link delete", name, ack);
  return true;
}

}  // namespace netlink
