// SPDX-License-Identifier: Apache-2.0

// What the containers of these tests run: a static program that waits, as Kubernetes' pause does.

#include <signal.h>
#include <unistd.h>

int main() {
  // The first process of a container has no default: without a handler a polite stop would take the runtime's patience.
  (void)::signal(SIGTERM, [](int) { ::_exit(0); });
  for (;;) (void)::pause();
}
