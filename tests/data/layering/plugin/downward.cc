// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <netlink/msg.h>
#include <boost/asio.hpp>

#include "conf/error.h"
#include "integration/support/process.h"
#include "ipam/host_local.h"
#include "netlink/link.h"
#include "tests/fakes/disk.h"
