/* Whose a volume's files are: fsGroup. */
#pragma once

#include "../../lib/base/error.h"

/* All below PATH gets the group, and the group what the owner of a volume needs: files rw, folders also x and the bit
 * that hands the group on. LAZY (fsGroupChangePolicy OnRootMismatch): not when the folder itself has it all.
 * No link is followed. Walks the whole tree: in a worker thread. */
int volume_give_to_group(const char *path, int64_t group, bool lazy, struct error *reterr);
