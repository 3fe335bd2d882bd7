// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "conf/json.h"
#include "plugin/decide.h"
