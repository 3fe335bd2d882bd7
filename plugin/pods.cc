// SPDX-License-Identifier: Apache-2.0
#include "plugin/pods.h"

#include "netlink/address.h"
#include "netlink/link.h"

namespace plugin {

std::optional<PodNetns> KernelPods::look(const std::string& path, const std::string& ifname) {
  const std::optional<netlink::Netns> netns = netlink::Netns::open(path);
  if (!netns) return std::nullopt;
  netlink::Socket socket = netns->route_socket();
  return PodNetns{
      .id = netns->id(), .is_ours = netns->is_current(), .has_link = netlink::find_link(socket, ifname).has_value()};
}

std::vector<conf::IpPrefix> KernelPods::addresses(const std::string& path, const std::string& ifname) {
  const std::optional<netlink::Netns> netns = netlink::Netns::open(path);
  if (!netns) return {};
  netlink::Socket socket = netns->route_socket();
  const std::optional<netlink::Link> link = netlink::find_link(socket, ifname);
  return link ? netlink::addresses_of(socket, link->index) : std::vector<conf::IpPrefix>{};
}

std::shared_ptr<netlink::Fib> KernelPods::fib(const std::string& path) {
  const std::optional<netlink::Netns> netns = netlink::Netns::open(path);
  return netns ? std::make_shared<netlink::KernelFib>(netns->route_socket()) : nullptr;
}

bool KernelPods::delete_link(const std::string& path, const netlink::NetnsId& expected, const std::string& ifname) {
  const std::optional<netlink::Netns> netns = netlink::Netns::open(path);
  // The path of a pod that is gone may lead to another's namespace by now (cri-o#2849), or to the node's.
  if (!netns || netns->is_current() || !netns->id().same_as(expected)) return false;
  netlink::Socket socket = netns->route_socket();
  return netlink::delete_link(socket, ifname);
}

}  // namespace plugin
