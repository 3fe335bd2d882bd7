// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <fmt/format.h>

#include "conf/result_model.h"

namespace conf {
namespace {

/// Collects the members of one object, leaving out what the reference leaves out.
class Writer {
 public:
  void raw(std::string_view key, std::string value) { members_.push_back({std::string(key), std::move(value)}); }
  void text(std::string_view key, const std::string& json) {
    if (!json.empty()) raw(key, json);
  }
  void address(std::string_view key, const std::string& plain) {
    if (!plain.empty()) raw(key, quote(plain));
  }
  void number(std::string_view key, long long value) {
    if (value != 0) raw(key, std::to_string(value));
  }
  void number(std::string_view key, std::optional<long long> value) {
    if (value) raw(key, std::to_string(*value));
  }
  void list(std::string_view key, const std::vector<std::string>& elements) {
    if (!elements.empty()) raw(key, fmt::format("[{}]", fmt::join(elements, ",")));
  }
  template <typename T, typename Write>
  void objects(std::string_view key, const std::vector<T>& values, Write write) {
    std::vector<std::string> elements;
    for (const T& value : values) elements.push_back(write(value));
    list(key, elements);
  }
  std::string finish(const std::vector<Member>& foreign) {
    members_.insert(members_.end(), foreign.begin(), foreign.end());
    return members_text(members_);
  }

 private:
  std::vector<Member> members_;
};

std::string or_empty(const std::string& json) { return json.empty() ? "\"\"" : json; }

std::string write_route(const ResultRoute& route) {
  Writer out;
  out.raw("dst", quote(route.dst.text));
  out.address("gw", route.gw);
  out.number("mtu", route.mtu);
  out.number("advmss", route.advmss);
  out.number("priority", route.priority);
  out.number("table", route.table);
  out.number("scope", route.scope);
  return out.finish(route.foreign);
}

std::string write_interface(const ResultInterface& interface) {
  Writer out;
  out.raw("name", or_empty(interface.name));
  out.text("mac", interface.mac);
  out.number("mtu", interface.mtu);
  out.text("sandbox", interface.sandbox);
  out.text("socketPath", interface.socket_path);
  out.text("pciID", interface.pci_id);
  return out.finish(interface.foreign);
}

std::string write_address(const ResultAddress& address, ResultShape shape) {
  Writer out;
  if (shape == ResultShape::kVersioned) out.raw("version", or_empty(address.version));
  out.number("interface", address.interface);
  out.raw("address", quote(address.address.text));
  out.address("gateway", address.gateway);
  return out.finish(address.foreign);
}

std::string write_family(const ResultFamily& family) {
  Writer out;
  out.raw("ip", quote(family.ip.text));
  out.address("gateway", family.gateway);
  out.objects("routes", family.routes, write_route);
  return out.finish(family.foreign);
}

std::string write_dns(const ResultDns& dns) {
  Writer out;
  out.list("nameservers", dns.nameservers);
  out.text("domain", dns.domain);
  out.list("search", dns.search);
  out.list("options", dns.options);
  return out.finish(dns.foreign);
}

}  // namespace

std::string members_text(const std::vector<Member>& members) {
  std::string text = "{";
  for (const Member& member : members) {
    if (text.size() > 1) text += ',';
    text += quote(member.key);
    text += ':';
    text += member.value;
  }
  return text + '}';
}

std::string write_result(const ResultModel& result, ResultShape shape, std::string_view version) {
  Writer out;
  out.raw("cniVersion", quote(version));
  if (result.ip4) out.raw("ip4", write_family(*result.ip4));
  if (result.ip6) out.raw("ip6", write_family(*result.ip6));
  out.objects("interfaces", result.interfaces, write_interface);
  out.objects("ips", result.ips, [shape](const ResultAddress& ip) { return write_address(ip, shape); });
  out.objects("routes", result.routes, write_route);
  // Up to 0.4.0 the reference prints an empty `dns` as {}; since 1.0.0 it leaves it out.
  const std::string dns = write_dns(result.dns);
  if (dns != "{}" || shape != ResultShape::kCurrent) out.raw("dns", dns);
  return out.finish(result.foreign);
}

}  // namespace conf
