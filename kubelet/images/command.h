/* `colibri image ...`: the store of this machine, by hand. */
#pragma once

#include "../runtime/runtime.h"

/* ARGS: "load", "list", "rm" or "pull" and what belongs to it, NULL-ended. Returns an exit code; says on
 * standard output what was done, on standard error what failed. Works beside a running kubelet. */
int image_command(const struct runtime_options *o, const char *const *args);
