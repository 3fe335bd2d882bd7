// SPDX-License-Identifier: Apache-2.0
#include "conf/attachment_name.h"

#include <doctest/doctest.h>

#include <set>

namespace {

TEST_SUITE_BEGIN("conf.attachment_name");

TEST_CASE("A1.5 names fit a file name and never meet") {
  const std::string longest(4000, 'a');
  const auto name = [](const std::string& id, const std::string& ifname) {
    return conf::attachment_name({.container_id = id, .ifname = ifname});
  };
  CHECK(name("5fc10b", "eth0") == "5fc10b:eth0");
  CHECK(name(longest, "eth0123456789ab").size() <= 255 - 16);
  const std::set<std::string> names = {
      name("a", "b-c"), name("a-b", "c"), name(longest, "eth0"), name(longest, "eth1"), name(longest + 'b', "eth0"),
      name("a", "b")};
  CHECK(names.size() == 6);
  for (const std::string& each : names) CHECK(each.find('/') == std::string::npos);
}

TEST_SUITE_END();

}  // namespace
