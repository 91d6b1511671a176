/* What aggregation decides, without I/O: pure functions over JSON. */
#pragma once

#include "../../lib/json/json.h"

/* A condition "Available". */
struct availability {
        const char *status, *reason, *message; /* REASON NULL: nothing speaks against it so far, ask the server itself */
};

/* What the Service and its EndpointSlices (an array) say of the server of API_SERVICE. SERVICE NULL: there is none. */
struct availability availability_of_service(struct arena *a, const struct json *api_service, const struct json *service,
                                            const struct json *slices);
/* The condition of STATUS in CONDITIONS, new or as it was: LastTransitionTime moves with the status. *RET: the new
 * list. False: nothing differs. */
bool availability_set(struct arena *a, const struct json *conditions, const struct availability *v, const char *now,
                      struct json **ret);
/* Whether an APIService's condition Available is True. */
bool availability_is(const struct json *api_service);

/* Where PORT of SERVICE is. 0: *RET_HOST and *RET_PORT; else -EHOSTUNREACH and why not. ROUTING: one of its endpoints, of those that
 * are ready the one that CHANCE (any number) falls on. */
struct place {
        const char *host;
        uint16_t port;
};
int service_place(struct arena *a, const struct json *service, const struct json *slices, int64_t port, bool routing,
                  uint32_t chance, struct place *ret, struct error *reterr);

/* "/apis/GROUP/VERSION" and all below it: true, and both in A. */
bool path_group_version(struct arena *a, const char *path, const char **ret_group, const char **ret_version);

/* The resources of a group version in an APIGroupDiscoveryList; NULL: it is not among them. */
struct json *discovery_pick(const struct json *list, const char *group, const char *version);
/* The same made of an APIResourceList, as old servers answer. */
struct json *discovery_from_legacy(struct arena *a, const struct json *list);
/* Of an OpenAPI v2 document what belongs to a group version: its paths, and the definitions they need. */
struct json *openapi_v2_pick(struct arena *a, const struct json *doc, const char *group, const char *version);
/* The hash that an OpenAPI v3 index gives for "apis/GROUP/VERSION"; "" when it has no hash, NULL: it is not in it. */
const char *openapi_v3_pick(struct arena *a, const struct json *index, const char *group, const char *version);

/* --- APIServices that are made for what this server serves itself --- */

#define AUTOMANAGED_LABEL "kube-aggregator.kubernetes.io/automanaged"

enum automanaged { AUTOMANAGED_NO, AUTOMANAGED_ONSTART, AUTOMANAGED_ALWAYS };
enum automanaged_action { AUTOMANAGED_KEEP, AUTOMANAGED_CREATE, AUTOMANAGED_UPDATE, AUTOMANAGED_DELETE };

/* The APIService of GROUP and VERSION as it should be. */
struct json *automanaged_object(struct arena *a, const char *group, const char *version, int64_t group_priority,
                                int64_t version_priority, enum automanaged how);
/* What is to be done with the one that is there (NULL: none) when WANTED (NULL: it is not wanted). DONE_ONCE: those of
 * "onstart" were taken care of since this server started. */
enum automanaged_action automanaged_decide(const struct json *is, const struct json *wanted, bool done_once);
