/* metadata.managedFields across the versions of a kind: see managed-versions.c. */
#pragma once

#include "managed-entries.h"
#include "typed.h"

/* The resource that an entry of RES written at VERSION ("apps/v1") is about. NULL: there is no such version; *RET_WHY is
 * then NULL where the entry may be forgotten, else upstream's words. */
const struct resource *managed_version(struct arena *a, const struct resource *res, const char *version,
                                       const char **ret_why);
/* Forgets entries whose version is no more. VERSION is RES's own, as text. NULL, or why nothing can be compared. */
const char *managed_settle(struct managed *m, const struct resource *res, const char *version);
/* OBJ as TO has it; OBJ itself where that is the same. */
struct json *managed_convert(struct arena *a, const struct resource *from, const struct resource *to, const struct json *obj);

/* What a write changes, seen by each version that entries were written at. */
struct managed_views {
        struct arena *a;
        const struct resource *res;
        const char *sub;
        const struct json *live, *obj; /* of RES */
        struct managed_view {
                const char *version;
                struct comparison cmp;
        } *list; /* free() it */
        size_t n, cap;
};
/* Without what the endpoint never writes. VERSION must live as long as V. */
void managed_compare(struct managed_views *v, const char *version, struct comparison *ret);
