// SPDX-License-Identifier: Apache-2.0
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <nlohmann/json.hpp>

#include "conf/ip.h"
#include "host_local.h"
#include "netlink/link.h"
