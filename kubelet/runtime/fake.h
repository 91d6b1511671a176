/* Inside: what the common entry points ask of the fake runtime. */
#pragma once

#include "runtime.h"

void fake_set_pod_cidr(struct runtime *r, const char *pod_cidr);
