// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

// An edge file: calls are what it is for, but not threads.
int calls() {
  std::async(nothing);
  return ::open("/x", 0);
}
