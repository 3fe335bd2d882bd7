// SPDX-License-Identifier: Apache-2.0
#include "plugin/host_ports.h"

#include <doctest/doctest.h>

namespace {

using conf::HostPorts;
using plugin::PortMapper;

const conf::NetworkList& with_portmap() {
  static const conf::NetworkList list = conf::parse_list(
      R"({"name":"a","plugins":[{"type":"bridge"},{"type":"portmap","capabilities":{"portMappings":true}}]})", "x");
  return list;
}

const conf::NetworkList& without() {
  static const conf::NetworkList list = conf::parse_list(R"({"name":"a","plugins":[{"type":"ptp"}]})", "x");
  return list;
}

const conf::Object& offers() {
  static const conf::Object object = conf::Object::parse(R"({"portMappings":[{"hostPort":80}],"mac":"x"})", "x");
  return object;
}

TEST_SUITE_BEGIN("plugin.host_ports");

TEST_CASE("auto leaves ports to a list that takes them, else to a network that maps them, else to Crossover") {
  for (const bool network_maps : {false, true})
    CHECK(plugin::port_mapper(HostPorts::kAuto, with_portmap(), network_maps) == PortMapper::kDelegate);
  CHECK(plugin::port_mapper(HostPorts::kAuto, without(), true) == PortMapper::kNetwork);
  CHECK(plugin::port_mapper_name(PortMapper::kNetwork) == "none");
  CHECK(plugin::port_mapper(HostPorts::kAuto, without(), false) == PortMapper::kCrossover);
  CHECK(plugin::network_matters(HostPorts::kAuto, without()));
  CHECK_FALSE(plugin::network_matters(HostPorts::kAuto, with_portmap()));
}

TEST_CASE("delegate only passes, crossover always maps, off maps none, whatever the network does") {
  for (const bool network_maps : {false, true}) {
    CHECK(plugin::port_mapper(HostPorts::kDelegate, with_portmap(), network_maps) == PortMapper::kDelegate);
    CHECK(plugin::port_mapper(HostPorts::kDelegate, without(), network_maps) == PortMapper::kNone);
    CHECK(plugin::port_mapper(HostPorts::kCrossover, with_portmap(), network_maps) == PortMapper::kCrossover);
    CHECK(plugin::port_mapper(HostPorts::kCrossover, without(), network_maps) == PortMapper::kCrossover);
    CHECK(plugin::port_mapper(HostPorts::kOff, with_portmap(), network_maps) == PortMapper::kNone);
  }
}

TEST_CASE("ports nobody maps are taken out and said, everything else is passed on") {
  std::vector<std::string> notes;
  CHECK(offers_for(with_portmap(), PortMapper::kDelegate, offers(), notes) == offers());
  CHECK(notes.empty());
  const conf::Object left = offers_for(without(), PortMapper::kNone, offers(), notes);
  CHECK_FALSE(left.has("portMappings"));
  CHECK(left.has("mac"));
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].find("hostPorts are not mapped") != std::string::npos);
}

TEST_CASE("ports that Crossover or the network maps are kept from the list, and that is nothing to say") {
  std::vector<std::string> notes;
  CHECK_FALSE(offers_for(with_portmap(), PortMapper::kCrossover, offers(), notes).has("portMappings"));
  CHECK_FALSE(offers_for(without(), PortMapper::kNetwork, offers(), notes).has("portMappings"));
  CHECK(notes.empty());
}

TEST_CASE("no ports asked for is nothing to say") {
  std::vector<std::string> notes;
  (void)offers_for(without(), PortMapper::kNone, conf::Object::parse(R"({"portMappings":[]})", "x"), notes);
  CHECK(notes.empty());
}

TEST_SUITE_END();

}  // namespace
