// SPDX-License-Identifier: Apache-2.0
#include <libmnl/libmnl.h>
#include <netlink/msg.h>

#include "conf/error.h"
#include "ipam/host_local.h"
#include "plugin/pods.h"
