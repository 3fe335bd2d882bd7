// SPDX-License-Identifier: Apache-2.0

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "conf/error.h"
#include "conf/list.h"

// A network's list, a single plugin's file and a plugin of the sub-folder. Breaks if anything but a CniError of code 6
// or 7 comes out, if the text of a list does not read back to the same list, or if what a plugin gets is no object with
// the list's name, or holds what only the runtime may put in.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using conf::Verb;

constexpr std::array<Verb, 5> kVerbs = {Verb::kAdd, Verb::kDel, Verb::kCheck, Verb::kStatus, Verb::kGc};

void demand(bool holds) {
  if (!holds) std::abort();
}

template <typename Call>
void refused_well(Call call) {
  try {
    call();
  } catch (const conf::CniError& error) {
    demand(error.code() == 6 || error.code() == 7);
    demand(error.details().size() < 1024);
    demand(conf::without_swallowed_phrases(error.details()) == error.details());
  }
}

conf::Injection offer_everything(const conf::NetworkList& list, Verb verb) {
  conf::Injection injection;
  injection.verb = verb;
  injection.prev_result = "{}";
  injection.valid_attachments = "[]";
  for (const conf::PluginConf& plugin : list.plugins) {
    for (const std::string& capability : plugin.capabilities) injection.runtime_config.set(capability, "1");
  }
  return injection;
}

void check_stdin(const conf::NetworkList& list, const conf::PluginConf& plugin, Verb verb) {
  const conf::Object conf =
      conf::Object::parse(conf::plugin_stdin(list, plugin, offer_everything(list, verb)), "stdin");
  const bool attachment = verb == Verb::kAdd || verb == Verb::kDel || verb == Verb::kCheck;
  demand(*conf.find("name") == conf::quote(list.name));
  demand(conf.has("cniVersion") == !list.cni_version.empty());
  demand(!conf.has("capabilities"));
  demand(conf.has("prevResult") == attachment);
  demand(conf.has("runtimeConfig") <= attachment);
  demand(conf.has("cni.dev/valid-attachments") == (verb == Verb::kGc));
  demand(conf.has("cni.dev/attachments") == (verb == Verb::kGc));
}

void check_plugin(const conf::PluginConf& plugin) {
  demand(!plugin.type.empty() && plugin.type.find_first_of("/\\") == std::string::npos);
}

// Fails on what cannot be, so an exception in here leaves the target and is found.
void check(conf::NetworkList list) noexcept {
  demand(conf::is_container_id(list.name));
  demand(!list.load_only_inlined || !list.plugins.empty());
  if (list.plugins.empty()) return;
  list.load_only_inlined = true;
  demand(conf::parse_list(list.text(), "text") == list);
  for (const conf::PluginConf& plugin : list.plugins) {
    check_plugin(plugin);
    for (const Verb verb : kVerbs) check_stdin(list, plugin, verb);
  }
}

// A list that holds nothing but the plugin, as if it came from a sub-folder.
conf::NetworkList list_of(const conf::PluginConf& plugin) {
  conf::NetworkList list;
  list.name = "net";
  list.plugins.push_back(plugin);
  return list;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  refused_well([&] { check(conf::parse_list(text, "list")); });
  refused_well([&] { check(conf::parse_single(text, "single")); });
  refused_well([&] { check(list_of(conf::parse_plugin(text, "plugin"))); });
  return 0;
}
