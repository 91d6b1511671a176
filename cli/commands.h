/* The commands of `colibri`. Each returns the exit code of the program and says on standard error what
 * went wrong. ARGS: what follows the command's options, NULL-terminated.
 */
#pragma once

#include "cluster.h"

int command_up(struct cluster *c, const char *const *args);
int command_down(struct cluster *c, const char *const *args);
int command_reset(struct cluster *c, const char *const *args);
int command_status(struct cluster *c, const char *const *args);
int command_image(struct cluster *c, const char *const *args);
int command_supervise(struct cluster *c, const char *const *args);
