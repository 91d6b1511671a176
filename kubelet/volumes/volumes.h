/* Volumes: what a pod's spec.volumes name, made into folders that containers get mounted.
 *
 *      ROOT/pods/UID/volumes/kubernetes.io~KIND/NAME      each volume (upstream's layout)
 *      ROOT/pods/UID/volume-subpaths/VOLUME/CONTAINER/N   bind mounts of subPaths
 *
 * configMap, secret, downwardAPI and projected volumes are written with upstream's atomic writer: a
 * timestamped folder, a ..data link swapped by rename, and links from the names into it.
 *
 * All that reads or writes parks; run it on a fiber. POD is always the Pod's JSON as the API serves it.
 */
#pragma once

#include "../runtime/runtime.h"

struct volumes;

enum volumes_outcome {
        VOLUMES_OK = 0,
        VOLUMES_NOT_FOUND = 1, /* of a fetch: the object does not exist */
};

/* How volumes get other objects: the caller's functions, on the fiber of the call that needs them. */
struct volumes_fetch {
        /* RESOURCE: "configmaps", "secrets", "persistentvolumeclaims", "persistentvolumes". 0, VOLUMES_NOT_FOUND,
         * or negative with a text. */
        int (*get)(const char *resource, const char *namespace, const char *name, struct arena *a, struct json **ret,
                   void *userdata, struct error *reterr);
        /* A bound token (TokenRequest for POD's service account). AUDIENCE NULL: the API server's. */
        int (*token)(const struct json *pod, const char *audience, int64_t expiration_seconds, struct arena *a,
                     const char **ret_token, int64_t *ret_expires, void *userdata, struct error *reterr);
        void *userdata;
};
struct volumes_options {
        const char *root;      /* /var/lib/colibri */
        const char *node_name; /* local PVs: checked against their node affinity */
        struct volumes_fetch fetch;
        const struct json *node_allocatable; /* {"cpu": "2", "memory": ...} for resourceFieldRef; may be NULL */
};
int volumes_new(struct loop *loop, const struct volumes_options *o, struct volumes **ret, struct error *reterr);
void volumes_free(struct volumes *v);

/* Makes all volumes of the pod; called again it brings them up to date (configMaps, secrets, tokens before they expire) and
 * leaves the others. On failure reterr is the text of the FailedMount event: `MountVolume.SetUp failed for
 * volume "x" : configmap "y" not found`. *ret_next (may be NULL): realtime by which it must be called again (a token's
 * renewal), or 0. */
int volumes_setup(struct volumes *v, const struct json *pod, int64_t *ret_next, struct error *reterr);
/* Whether the pod mounts OBJECT ("configmaps" or "secrets"), so that a change to it calls for volumes_setup(). */
bool volumes_uses(const struct json *pod, const char *resource, const char *name);
/* The mounts of one container (also init and ephemeral), after volumes_setup(). ENV: "NAME=value" for subPathExpr, NULL-ended.
 * *ret in the arena. Errors read as CreateContainerConfigError texts (`failed to prepare subPath for volumeMount "v" of container "c"`). */
int volumes_mounts(struct volumes *v, const struct json *pod, const struct json *container, const char *const *env,
                   struct arena *a, struct runtime_mount **ret, size_t *ret_n, struct error *reterr);
/* After the pod's containers are gone: unmounts and removes all. Unknown is fine. Removes ROOT/pods/UID. */
int volumes_teardown(struct volumes *v, const char *pod_uid, struct error *reterr);
/* UIDs that have a folder: for orphans after a restart. */
int volumes_list_pods(struct volumes *v, struct arena *a, const char ***ret_uids, size_t *ret_n, struct error *reterr);
/* The name and limit of the first emptyDir above its sizeLimit: for eviction. 0: none; 1: *ret_volume is over *ret_limit (text as in
 * the spec). Walks the folder in a worker thread. */
int volumes_over_limit(struct volumes *v, const struct json *pod, struct arena *a, const char **ret_volume,
                       const char **ret_limit, struct error *reterr);
/* ROOT/pods/UID/containers/NAME/ID, made: a file there is bind-mounted at the terminationMessagePath. */
char *volumes_termination_log(struct volumes *v, struct arena *a, const char *pod_uid, const char *container,
                              uint32_t attempt, struct error *reterr);
