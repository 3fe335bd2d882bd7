// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <string>

#include "conf/heavy.h"
#include "ipam/host_local.h"
#include "plugin/exec.h"
