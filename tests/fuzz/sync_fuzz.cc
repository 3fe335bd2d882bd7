// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "conf/base64.h"
#include "conf/error.h"
#include "plugin/sync/access.h"
#include "plugin/sync/mirror.h"
#include "plugin/sync/objects.h"

// What an API server may send, and what a kubeconfig may hold. No answer may crash, a watch has the same lines however
// it is cut, and what is written for an object is what crossover-ipam reads.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using plugin::sync::Kind;

void must(bool holds) {
  if (!holds) std::abort();
}

void check_list(Kind kind, std::string_view text) {
  const auto listed = plugin::sync::read_list(kind, "node1", text);
  if (const std::string* problem = std::get_if<std::string>(&listed)) return must(!problem->empty());
  const auto& object = std::get<plugin::sync::Listed>(listed).object;
  if (!object) return;
  (void)plugin::sync::mirror_label(std::string(text), object->label);
  const auto file = plugin::sync::mirror_blocks(std::nullopt, "node1", std::nullopt, object);
  if (file.bytes) must(std::holds_alternative<ipam::Answer>(ipam::read_blocks_file(*file.bytes)));
}

void check_lines(std::string_view text) {
  std::vector<std::string> at_once;
  std::vector<std::string> in_two;
  plugin::sync::Lines one;
  plugin::sync::Lines two;
  must(one.add(text, at_once));
  must(two.add(text.substr(0, text.size() / 2), in_two));
  must(two.add(text.substr(text.size() / 2), in_two));
  must(at_once == in_two && one.is_torn() == two.is_torn());
  for (const std::string& line : at_once) (void)plugin::sync::read_event(Kind::kCiliumNode, "node1", line);
}

void check_access(std::string_view text) {
  (void)conf::from_base64(text);
  try {
    const plugin::sync::Access access = plugin::sync::read_kubeconfig(text, "/d");
    must(access.server == plugin::sync::checked_server(access.server));
  } catch (const conf::CniError&) {
    // refused
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (size > 65536) return 0;
  check_list(Kind::kNode, text);
  check_list(Kind::kCiliumNode, text);
  (void)plugin::sync::read_event(Kind::kNode, "node1", text);
  check_lines(text);
  check_access(text);
  return 0;
}
