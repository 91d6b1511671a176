/* The default seccomp profile, in the form of the OCI runtime specification (linux.seccomp). */
#pragma once

#include "../../lib/json/json.h"

/* CAPABILITIES: those of the container ("CAP_SYS_ADMIN"), NULL-ended. In the arena. */
struct json *seccomp_default(struct arena *a, const char *const *capabilities);
