/* Discovery documents (/api, /apis and below) and /version, made on demand.
 *
 * EXTRA is what custom resource definitions add: resources sorted by group, version (in the order of
 * preference) and name. All functions return a new reference; the caller unrefs.
 */
#pragma once

#include "../../lib/http/server.h"
#include "schema.h"

struct discovery_extra {
        const struct resource *const *list;
        size_t n;
        const struct discovery_remote *const *remotes; /* group versions that other servers answer for, in any order */
        size_t n_remotes;
};

/* A group version of an aggregated server: what it was last heard to serve. */
struct discovery_remote {
        const char *group, *version;
        int32_t group_priority, version_priority; /* of its APIService */
        bool stale;                     /* it did not answer last time */
        const char *resources;          /* of its APIVersionDiscovery: the array's text; "[]": none known */
        const char *openapi_v3_hash;    /* "": it has no such document */
        const struct json *openapi_v2;  /* {paths, definitions} of this group version; may be NULL */
};

/* Where a group or a version stands in discovery. */
struct discovery_place {
        const char *name;
        int32_t priority;
        const struct discovery_remote *remote; /* of versions: who serves it; NULL: this server */
};
/* All groups but core, or with GROUP the versions of it, by descending priority. The caller frees; *RET_N of them. */
struct discovery_place *discovery_order(const struct discovery_extra *extra, const char *group, size_t *ret_n);

#define DISCOVERY_ETAG 131 /* 128 hexadecimal digits in quotes, and a NUL */

/* APIGroupDiscoveryList of /api (core) or /apis. ret_etag: the ETag with its quotes. */
struct buffer *discovery_aggregated(bool core, const struct discovery_extra *extra, char ret_etag[DISCOVERY_ETAG]);
/* /api: APIVersions; SERVER_ADDRESS "10.0.0.1:6443". */
struct buffer *discovery_versions(const char *server_address);
/* /apis: APIGroupList */
struct buffer *discovery_groups(const struct discovery_extra *extra);
/* /apis/<group>: APIGroup; NULL: there is no such group. */
struct buffer *discovery_group(const char *group, const struct discovery_extra *extra);
/* /api/v1, /apis/<group>/<version>: APIResourceList; NULL: there is none. GROUP "" is core. */
struct buffer *discovery_resources(const char *group, const char *version, const struct discovery_extra *extra);
/* /version */
struct buffer *discovery_version(void);

/* The media type that aggregated discovery is asked for by and answered with. */
#define DISCOVERY_MEDIA_PARAMETERS ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
#define DISCOVERY_MEDIA_TYPE "application/json" DISCOVERY_MEDIA_PARAMETERS

/* Orders "v1", "v1beta2", "v2alpha1", ... as clients prefer them: < 0 when A comes first. */
int discovery_version_cmp(const char *a, const char *b);
