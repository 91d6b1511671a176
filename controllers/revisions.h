/* The history of templates as ControllerRevisions: what DaemonSets and StatefulSets roll out and back. */
#pragma once

#include "controllers.h"

struct revision_owner {
        const struct object *owner;
        const char *kind;       /* "DaemonSet"; its API version is apps/v1 */
        const char *hash_label; /* which label holds the hash */
        const struct selector *selector;
};
struct revisions {
        struct object_list all; /* oldest number first */
        const struct object *update; /* of the present template; NULL: about to be made */
        const char *update_name, *update_hash;
        bool collided;          /* its name is taken by another content: the caller raises the collision count */
};
/* Finds the revision of the present template; makes or renews it in WRITES where it is not the newest one. */
void revisions_sync(const struct snapshot *s, const struct revision_owner *o, int64_t collisions, struct writes *w,
                    struct revisions *ret);
const struct object *revisions_find(const struct revisions *r, const char *name); /* NULL */
/* Deletes the oldest past spec.revisionHistoryLimit; IS_LIVE says which are still needed. */
void revisions_trim(const struct revisions *r, const struct object *owner, struct writes *w,
                    bool (*is_live)(const struct object *revision, void *userdata), void *userdata);
