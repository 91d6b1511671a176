/* The table as we want it and as the kernel has it, and the transaction between the two.
 *
 * Each Service claims named things (struct rule). Two may claim the same one (a pod behind two
 * Services is one element of `hairpin`; two Services may want one external address): it is there as
 * long as anybody claims it, and the first owner by name says what it is, whoever came first.
 *
 *     ruleset_set() ...                    what changed
 *     ruleset_begin(rs, full, &text)       the transaction; nothing to do: an empty text
 *     (the kernel takes all of it, or none)
 *     ruleset_end(rs, ok)                  after a failure only a full one makes sense
 *
 * ruleset_set() may be called between begin and end: it is part of the next transaction.
 */
#pragma once

#include "rules.h"

struct ruleset;

/* FRAME: what rules_frame() gave; copied. */
struct ruleset *ruleset_new(const char *table, const char *frame);
void ruleset_free(struct ruleset *rs);
/* What OWNER wants from now on, all of it; RULES NULL: nothing. Copies. */
void ruleset_set(struct ruleset *rs, const char *owner, const struct rules *rules);
bool ruleset_dirty(const struct ruleset *rs);
/* FULL: replaces the table, whatever the kernel has. */
void ruleset_begin(struct ruleset *rs, bool full, struct strbuf *out);
void ruleset_end(struct ruleset *rs, bool ok);
size_t ruleset_size(const struct ruleset *rs); /* named things wanted */
