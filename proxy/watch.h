/* Notices when somebody takes our table away: `nft flush ruleset`, which a restart of Debian's nftables
 * service does, means everybody's. The kernel tells of each transaction, so nothing polls.
 */
#pragma once

#include "../lib/loop/loop.h"

struct table_watch;

/* CHANGED: some transaction, ours included, was committed. */
int table_watch_new(struct loop *loop, const char *table, void (*changed)(void *userdata), void *userdata,
                    struct table_watch **ret, struct error *reterr);
/* Asks the kernel, without waiting. True also when it cannot be told. */
bool table_watch_exists(struct table_watch *w);
