// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "conf/request.h"

namespace conf {

/// An attachment's file name: "<container id>:<ifname>", or "<start of the id>~<its hash>:<ifname>" for an id that a
/// file name cannot hold. ':' and '~' occur in neither part, so that different attachments have different names.
[[nodiscard]] std::string attachment_name(const AttachmentId& id);

}  // namespace conf
