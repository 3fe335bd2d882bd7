// SPDX-License-Identifier: Apache-2.0
#include "plugin/session.h"

#include <fmt/format.h>

#include "conf/error.h"

namespace plugin {
namespace {

Journal prepared(System& system, const std::string& state_dir) {
  Journal journal(system.disk, state_dir);
  journal.prepare();
  return journal;
}

}  // namespace

Session::Session(System& the_system, const conf::Settings& the_settings)
    : system(the_system),
      settings(the_settings),
      journal(prepared(the_system, the_settings.state_dir)),
      locks(Locks::open(the_settings.state_dir, the_system.boot_id)),
      events(the_system, the_settings, locks) {}

Session::Held Session::hold(const conf::AttachmentId& id) {
  const auto busy = [&](std::string_view with) {
    return conf::CniError(conf::Code::kBusy, "another call is still at work",
                          fmt::format("{} did not end within {} ms; a plugin it runs may hang: see events.jsonl and ps",
                                      with, settings.lock_timeout.count()));
  };
  std::optional<Locks::Guard> shared = locks.shared(settings.lock_timeout);
  if (!shared) throw busy("a garbage collection");
  std::optional<Locks::Guard> own = locks.attachment(id, settings.lock_timeout);
  if (!own) throw busy(fmt::format("another call for {} {}", id.container_id, id.ifname));
  return {.shared = std::move(*shared), .own = std::move(*own)};
}

double elapsed_ms(System& system) { return static_cast<double>(system.clock.boot_ns() - system.started_ns) / 1e6; }

}  // namespace plugin
