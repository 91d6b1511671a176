/* Tables that follow the watch cache: each kind's entries are handed over once, then every change. */
#pragma once

#include "../storage/store.h"

struct feed {
        const char *group, *version, *resource;
        void (*clear)(void *userdata);                       /* forget everything: the cache starts anew */
        void (*put)(struct entry *e, void *userdata);        /* new or changed */
        void (*del)(struct entry *e, void *userdata);        /* gone */
        void *userdata;
        void (*cut)(void *userdata);                         /* the table is out of date until feed_ensure(); may be NULL */
        /* private */
        struct store_watch *watch;
        bool live;
};

/* Starts, or starts again after a cut. Costs one comparison when it runs already. False: the store is
 * not ready yet. */
bool feed_ensure(struct feed *f, struct store *s);
void feed_stop(struct feed *f);
