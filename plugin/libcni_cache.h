// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "plugin/attachment.h"

// The file in which libcni keeps an attachment for the runtime (libcni/api.go cachedInfo, kind cniCacheV1): by it a DEL
// gets the result of the ADD, and CRI-O the list that it goes to. Reading is evidence.h's. Pure.
namespace plugin {

/// "<network>-<container>-<interface>"
[[nodiscard]] std::string libcni_cache_name(std::string_view network, const conf::AttachmentId& id);

/// What libcni would have written had the runtime run `attachment.list` itself.
[[nodiscard]] std::string libcni_cache_text(const Attachment& attachment);

}  // namespace plugin
