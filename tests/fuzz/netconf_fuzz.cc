// SPDX-License-Identifier: Apache-2.0

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "conf/error.h"
#include "conf/netconf.h"
#include "conf/version.h"

// The document on stdin; the first byte picks the verb. Breaks if anything but a CniError of code 1, 6 or 7 comes out,
// if what is accepted breaks the contract of NetConf, or if an error is long or holds what containerd swallows on DEL.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using conf::Verb;

constexpr std::array<Verb, 6> kVerbs = {Verb::kAdd, Verb::kDel, Verb::kCheck, Verb::kStatus, Verb::kGc, Verb::kVersion};

void demand(bool holds) {
  if (!holds) std::abort();
}

template <typename Call>
void refused_well(Call call) {
  try {
    call();
  } catch (const conf::CniError& error) {
    demand(error.code() == 1 || error.code() == 6 || error.code() == 7);
    demand(error.details().size() < 1024);
    demand(conf::without_swallowed_phrases(error.details()) == error.details());
    demand(conf::parse_error_json(conf::error_json(error, "1.1.0")).has_value());
  }
}

void check_settings(const conf::Settings& settings) {
  demand(settings.net_dir.front() == '/' && settings.state_dir.front() == '/');
  demand(settings.canary_percent <= 100);
  demand(settings.delegate_timeout.count() > 0 && settings.agent_timeout.count() > 0);
  for (const conf::RuleSetting& rule : settings.coexistence.rules) {
    demand(rule.priority > 100 && rule.priority < 32766 && rule.table != 0);
    demand(!rule.from || rule.to || !rule.iif.empty());
  }
  for (const conf::IpPrefix& legacy : settings.legacy_cidrs) {
    demand(!legacy.has_host_bits());
    for (const conf::IpPrefix& cilium : settings.cilium_cidrs) demand(!legacy.overlaps(cilium));
  }
}

void check(const conf::NetConf& netconf, Verb verb) {
  demand(conf::is_supported(netconf.cni_version) && conf::is_container_id(netconf.name));
  demand(verb != Verb::kCheck || conf::at_least(netconf.cni_version, "0.4.0"));
  demand((verb != Verb::kGc && verb != Verb::kStatus) || netconf.cni_version == "1.1.0");
  demand(!netconf.valid_attachments || verb == Verb::kGc);
  check_settings(netconf.settings);
  if (netconf.prev_result) (void)conf::Object::parse(*netconf.prev_result, "prevResult");
  (void)conf::pod_annotation(netconf.runtime_config, "crossover.cni/network");
  if (!netconf.valid_attachments) return;
  const std::string ids = conf::attachment_ids_json(*netconf.valid_attachments);
  demand(conf::parse_attachment_ids(ids, "ids") == *netconf.valid_attachments);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Verb verb = kVerbs[data[0] % kVerbs.size()];
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  refused_well([&] { check(conf::parse_netconf(text, verb), verb); });
  refused_well([&] { (void)conf::parse_attachment_ids(text, "ids"); });
  return 0;
}
