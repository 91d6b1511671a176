/* Upstream's atomic writer: files that change all at once. */
#pragma once

#include "../../lib/base/arena.h"
#include "../../lib/base/error.h"

struct atomic_file {
        const char *path; /* relative, without ".." */
        const void *data;
        size_t len;
        int mode;
        int64_t uid; /* -1: root */
};
/* DIR holds FILES afterwards and nothing else: a timestamped folder, ..data pointing to it, and a link for each first path
 * component. Nothing is written when nothing changed. GID: -1, or the group of all. Blocks. -EINVAL: a path that leads out. */
int atomic_write(const char *dir, const struct atomic_file *files, size_t n, int64_t gid, struct error *reterr);
