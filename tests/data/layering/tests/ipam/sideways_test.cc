// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "ipam/host_local.h"
#include "netlink/link.h"
#include "tests/fakes/disk.h"
#include "tests/netlink/scratch.h"
