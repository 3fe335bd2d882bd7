// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/error.h"
#include "netlink/socket.h"

// Lists of what the kernel has.
namespace netlink {

/// How often a list that changes is asked for: each is some milliseconds, and fails only if something changes just
/// then.
inline constexpr int kListTries = 20;

/// CniError code 11: "`what` keep changing".
[[nodiscard]] conf::CniError changing_error(std::string_view what);
/// CniError code 5: "`what` cannot be listed", and why.
[[nodiscard]] conf::CniError list_error(std::string_view what, const Ack& ack);

/// Asks for a list until it is one that did not change meanwhile, as far as the kernel notices (EINTR): it does for
/// links, addresses, nf_tables and conntrack. `restart` forgets what a try before gave `reply`. Any other verdict of
/// the kernel's is returned. changing_error if that does not end.
[[nodiscard]] Ack dump(Socket& socket, std::vector<std::byte> request, std::string_view what,
                       const std::function<void()>& restart, const Socket::Reply& reply);

/// The same as dump, for what `decode` makes of each message (nothing: passed over). list_error if the kernel refuses;
/// `absent` is an errno that means that there are none.
template <typename Decode>
[[nodiscard]] auto list(Socket& socket, std::vector<std::byte> request, std::string_view what, Decode decode,
                        int absent = 0) {
  std::vector<typename decltype(decode(std::span<const std::byte>()))::value_type> out;
  const Ack ack = dump(
      socket, std::move(request), what, [&out] { out.clear(); },
      [&](std::span<const std::byte> message) {
        if (auto one = decode(message)) out.push_back(std::move(*one));
      });
  if (!ack.ok() && ack.error != absent) throw list_error(what, ack);
  return out;
}

/// The same for what changes without the kernel's notice, that is rules and routes. Within one datagram it is whole;
/// but between two of them (the first holds some fifty rules, others 32 KiB) what was added makes an entry come twice,
/// and what was deleted hides one. A list of several pieces is therefore asked for until it comes the same twice:
/// whole, unless something came and went again within that time.
template <typename Decode>
[[nodiscard]] auto settled_list(Socket& socket, const std::vector<std::byte>& request, std::string_view what,
                                Decode decode, int absent = 0) {
  auto before = list(socket, request, what, decode, absent);
  for (int i = 1; i < kListTries && socket.pieces() > 1; ++i) {
    auto again = list(socket, request, what, decode, absent);
    if (again == before) return again;
    before = std::move(again);
  }
  if (socket.pieces() > 1) throw changing_error(what);
  return before;
}

}  // namespace netlink
