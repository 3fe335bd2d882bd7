// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/run.h"

#include <algorithm>
#include <array>

namespace plugin::sync {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongestPause{30'000};

using Followers = std::array<Follower, 2>;  // the Node's, the CiliumNode's

milliseconds pause_before(const Followers& followers, milliseconds now) {
  milliseconds out = kLongestPause;
  for (const Follower& follower : followers)
    if (follower.due()) out = std::min(out, std::max(*follower.due() - now, milliseconds{0}));
  return out;
}

}  // namespace

bool run_once(Api& api, Keeper& keeper, const std::string& node, const Now& now) {
  Followers followers{Follower(Kind::kNode, node, 1), Follower(Kind::kCiliumNode, node, 1)};
  for (Follower& follower : followers) follower.list(api, now());
  return !api.stopped() && keeper.settle(followers[0], followers[1]);
}

void run(Api& api, Keeper& keeper, const std::string& node, std::uint32_t seed, const Now& now) {
  Followers followers{Follower(Kind::kNode, node, seed), Follower(Kind::kCiliumNode, node, seed + 1)};
  while (!api.stopped()) {
    for (Follower& follower : followers)
      if (follower.due() && *follower.due() <= now().since_boot) follower.step(api, now());
    if (api.stopped()) return;
    (void)keeper.settle(followers[0], followers[1]);
    for (const Piece& piece : api.wait(pause_before(followers, now().since_boot)))
      followers[piece.kind == Kind::kNode ? 0 : 1].take(api, piece, now());
  }
}

}  // namespace plugin::sync
