/* A file of lines that grows, is rotated, and is written in a worker thread: nobody waits for the disk.
 *
 * What cannot be written (a full disk) is counted, told in the daemon's log at most every ten seconds, and given up;
 * the next lines are tried again. Rotated files are named as upstream's: NAME-2026-01-02T15-04-05.000.EXT.
 */
#pragma once

#include "../../lib/base/strbuf.h"
#include "../../lib/loop/loop.h"

struct audit_log;

struct audit_log_options {
        const char *path;         /* "-": standard output */
        int max_age_days;         /* of rotated files; 0: any */
        int max_backups;          /* 0: all */
        int64_t max_size;         /* bytes; 0: 100 MiB */
};
int audit_log_open(struct loop *loop, const struct audit_log_options *o, struct audit_log **ret, struct error *reterr);
/* A line, with its line feed; copied. */
void audit_log_line(struct audit_log *l, const char *line, size_t len);
/* Writes what is left, now, and closes. NULL allowed. */
void audit_log_close(struct audit_log *l);
void audit_log_counts(const struct audit_log *l, uint64_t *ret_lines, uint64_t *ret_lost);

/* Whether NAME is a rotated file of BASE ("audit.log"): *RET_TIME, when it was (seconds, UTC). Pure. */
bool audit_backup_time(const char *base, const char *name, int64_t *ret_time);
