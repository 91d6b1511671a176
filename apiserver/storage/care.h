/* The care of etcd: its history is cut, its file is made smaller, and when it is full, room is made.
 *
 *      compaction   every five minutes one API server of all compacts to where etcd stood five minutes ago.
 *      defragment   behind a compaction that left more than half of a large file empty: each member in its turn, since one
 *                   that does it answers nobody meanwhile. Where that would take long it is left alone: etcd
 *                   writes into the empty part of the file before it grows.
 *      NOSPACE      etcd refuses all writes but deletions, on every member, until somebody takes the alarm away.
 *                   What may go is compacted away, the members are defragmented, and when their files became
 *                   smaller by a tenth the alarm goes. Else that is tried again after more was deleted, ever later.
 */
#pragma once

#include "etcd-wire.h"

/* What a member's database is like, in bytes. */
struct care_size {
        uint64_t file, used;
};
#define CARE_FILE_MIN (64ull << 20)   /* smaller files are not worth a pause */
#define CARE_COPY_MAX (128ull << 20)  /* of data copied at once: about a second */

bool care_worth_it(const struct care_size *size, uint64_t file_min); /* a defragmentation in passing */
bool care_made_room(uint64_t before, uint64_t after);                /* of the file: enough to let writes in again */

struct store;
void care_on_compact(struct store *s); /* the interval is over */
void care_no_space(struct store *s);   /* etcd refused a write for want of room */
/* What ails etcd's disk, where its folder is on this machine; NULL: nothing. The caller frees. */
char *care_disk(const struct store *s);
