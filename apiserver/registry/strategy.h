/* What data cannot say about a kind: hooks around the generic store. Any may be NULL.
 *
 * Trees are the request's own copies and may be changed, except OLD. They are of the version that is
 * stored.
 */
#pragma once

#include "../request.h"

struct strategy {
        const char *group, *kind; /* "" is core */

        /* What upstream's own form of the object always writes, although nobody sent it: owned by who writes. */
        void (*complete)(struct arena *a, struct json *obj);
        /* Before validation. prepare_update sees the stored object too; SUB is "" or the subresource. Resets that
         * are data (kinds/) have happened; of subresources that data does not know, everything is here. */
        void (*prepare_create)(struct api_request *r, struct json *obj);
        void (*prepare_update)(struct api_request *r, struct json *obj, const struct json *old, const char *sub);
        /* Rules that are no data; they add to errs. OLD is NULL on create. */
        void (*validate)(struct api_request *r, const struct json *obj, const struct json *old, const char *sub,
                         struct field_errors *errs);
        /* Before all of that: takes what must be unique (cluster IPs, node ports) and fills it in. OLD is NULL
         * on create. finish() then gives back what was taken for nothing (DONE false, also on dry run), or
         * what the old object no longer needs. STATE is the hooks' own; NULL: nothing was taken. */
        const struct status *(*allocate)(struct api_request *r, struct json *obj, const struct json *old, void **ret_state);
        void (*finish)(struct api_request *r, void *state, bool done);
        /* After it was stored. */
        void (*after_create)(struct api_request *r, const struct json *obj);
        void (*after_delete)(struct api_request *r, const struct json *obj);
        /* Graceful deletion: the period in seconds, 0 for at once, -1: not gracefully. NULL: never gracefully. */
        int64_t (*grace_period)(const struct json *obj, const struct json *delete_options);
        /* A first deletion that only marks the object (namespaces): changes OBJ and returns true; false when it
         * is marked already. */
        bool (*mark_deleted)(struct api_request *r, struct json *obj, const struct json *delete_options);
        /* Holds a deleted object although it has no finalizer in its metadata. */
        bool (*keeps)(const struct json *obj);
        /* Warns about what a deletion with these options leaves behind. */
        void (*warn_delete)(struct api_request *r, const struct json *delete_options);
        /* What a read shows that is not stored (may be NULL nearly everywhere). */
        void (*decorate)(struct api_request *r, struct json *obj);

        bool orphans_by_default; /* deletion without a policy leaves dependents behind */
        bool no_garbage;         /* propagation policies mean nothing to it */
};
