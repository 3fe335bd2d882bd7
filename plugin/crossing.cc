// SPDX-License-Identifier: Apache-2.0
#include "plugin/crossing.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "conf/error.h"

namespace plugin {
namespace {

using conf::IpPrefix;
using netlink::Link;
using netlink::Route;

constexpr std::size_t kMaxSysctl = 64;

bool covers(const IpPrefix& outer, const IpPrefix& inner) {
  return outer.prefix_len <= inner.prefix_len && outer.contains(inner.addr);
}

/// The routes that packets to `dst` may take.
std::vector<Route> ways_to(const std::vector<Route>& main, const IpPrefix& dst) {
  std::vector<Route> inside;
  const Route* around = nullptr;
  for (const Route& route : main) {
    if (route.type != netlink::RouteType::kUnicast || route.table != netlink::kMainTable) continue;
    if (covers(dst, route.dst)) inside.push_back(route);
    const bool closer = around == nullptr || route.dst.prefix_len > around->dst.prefix_len;
    if (covers(route.dst, dst) && closer) around = &route;
  }
  if (inside.empty() && around != nullptr) inside.push_back(*around);
  return inside;
}

const Link* link_of(const std::vector<Link>& links, std::uint32_t index) {
  const auto found = std::find_if(links.begin(), links.end(), [&](const Link& link) { return link.index == index; });
  return found == links.end() ? nullptr : &*found;
}

/// The number that a setting holds; nothing if there is no such setting.
std::optional<int> setting(conf::Disk& disk, const std::string& path) {
  try {
    const std::optional<std::string> text = disk.read(path, kMaxSysctl);
    if (!text || text->empty() || text->front() < '0' || text->front() > '9') return std::nullopt;
    return text->front() - '0';
  } catch (const conf::CniError&) {
    return std::nullopt;  // only a warning hangs on it
  }
}

}  // namespace

std::uint32_t crossing_mtu(const std::vector<Route>& main, const std::vector<Link>& links, const IpPrefix& dst) {
  std::uint32_t out = 0;
  for (const Route& way : ways_to(main, dst)) {
    const Link* link = link_of(links, way.link);
    const std::uint32_t mtu = way.mtu != 0 || link == nullptr ? way.mtu : link->mtu;
    if (mtu != 0 && (out == 0 || mtu < out)) out = mtu;
  }
  return out;
}

std::vector<std::string> crossing_links(const std::vector<Route>& main, const std::vector<Link>& links,
                                        const IpPrefix& dst) {
  std::vector<std::string> out;
  for (const Route& way : ways_to(main, dst)) {
    const Link* link = link_of(links, way.link);
    if (link == nullptr || link->kind.empty()) continue;
    if (std::find(out.begin(), out.end(), link->name) == out.end()) out.push_back(link->name);
  }
  return out;
}

std::vector<std::string> crossing_warnings(conf::Disk& disk, const std::string& sysctl, bool with_ipv4, bool with_ipv6,
                                           const std::vector<std::string>& links) {
  std::vector<std::string> out;
  const auto off = [&](std::string_view key) { return setting(disk, fmt::format("{}/net/{}", sysctl, key)) == 0; };
  if (with_ipv4 && off("ipv4/ip_forward"))
    out.emplace_back("net.ipv4.ip_forward is 0: no packet goes from one network to the other; set it to 1");
  if (with_ipv6 && off("ipv6/conf/all/forwarding"))
    out.emplace_back("net.ipv6.conf.all.forwarding is 0: no packet goes from one network to the other; set it to 1");
  if (!with_ipv4) return out;
  const auto filter = [&](const std::string& link) {
    return setting(disk, fmt::format("{}/net/ipv4/conf/{}/rp_filter", sysctl, link)).value_or(0);
  };
  const int all = filter("all");
  if (all != 0)
    out.push_back(
        fmt::format("net.ipv4.conf.all.rp_filter is {}: packets between the networks come back another way "
                    "and are dropped; set it to 0",
                    all));
  for (const std::string& link : links)
    if (const int own = filter(link); own != 0)
      out.push_back(
          fmt::format("rp_filter of {0} is {1}: packets between the networks that come in by it are dropped; "
                      "set net/ipv4/conf/{0}/rp_filter to 0",
                      link, own));
  return out;
}

}  // namespace plugin
