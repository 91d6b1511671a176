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
};

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
#define DISCOVERY_MEDIA_TYPE "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

/* Orders "v1", "v1beta2", "v2alpha1", ... as clients prefer them: < 0 when A comes first. */
int discovery_version_cmp(const char *a, const char *b);
