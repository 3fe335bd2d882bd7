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

/// Asks for a list until it is one that did not change meanwhile (EINTR), a few times; `restart` forgets what a try
/// before gave `reply`. Any other verdict of the kernel's is returned. CniError code 11, "`what` keep changing", if
/// that does not end.
///
/// The kernel notices changes of links, addresses, nf_tables and conntrack, but not those of rules and routes, whose
/// lists come in pieces (of 32 KiB, the first smaller): between two of them an entry may come twice, or be left out if
/// one before it was deleted.
[[nodiscard]] Ack dump(Socket& socket, std::vector<std::byte> request, std::string_view what,
                       const std::function<void()>& restart, const Socket::Reply& reply);

/// CniError code 5: "`what` cannot be listed", and why.
[[nodiscard]] conf::CniError list_error(std::string_view what, const Ack& ack);

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

}  // namespace netlink
