// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace lab {

/// Lets the process live in a mount namespace of its own, before the first namespace of a lab is made. However often it
/// is called, it does so once. Returns true.
bool be_isolated();

}  // namespace lab
