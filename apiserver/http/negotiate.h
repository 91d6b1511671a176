/* Content negotiation: what an Accept header gets, and what a Content-Type says. Pure functions. */
#pragma once

#include "../registry/status.h"

enum media_type { MEDIA_JSON, MEDIA_YAML, MEDIA_PROTOBUF };
enum media_as { MEDIA_AS_IS, MEDIA_AS_TABLE, MEDIA_AS_PARTIAL, MEDIA_AS_PARTIAL_LIST };

struct media {
        enum media_type type;
        enum media_as as;
        const char *version; /* of meta.k8s.io: "v1" or "v1beta1" */
        bool pretty;
};

/* What an endpoint can do besides JSON and YAML as they are. */
#define NEGOTIATE_TRANSFORM 1 /* PartialObjectMetadata(List) */
#define NEGOTIATE_STREAM 2    /* ;stream=watch */
#define NEGOTIATE_CUSTOM 4    /* custom resources: their metadata has a message of protobuf, they have none */

#define NEGOTIATE_ROUTE 8      /* upstream has a route in front (built-in kinds), which is pickier than what is behind it */
#define NEGOTIATE_COLLECTION 16 /* and this one can be watched */
#define NEGOTIATE_TABLE 32     /* Table, where transforms are */

/* Parses ACCEPT (NULL or "": JSON) and picks the first acceptable clause. NULL, or a 406. */
const struct status *negotiate(struct arena *a, const char *accept, unsigned flags, struct media *ret);
/* A route's look at ACCEPT: types are compared as they stand, without weights, parameters or wildcards but the full one.
 * PRODUCES: "application/json, application/yaml". NULL, or its 406. */
const struct status *negotiate_route(struct arena *a, const char *accept, const char *produces);
const char *media_content_type(const struct media *m);

/* The media type of a body: "application/json; charset=utf-8" -> "application/json", in the arena, lower case.
 * "" for NULL. */
const char *content_type_base(struct arena *a, const char *content_type);
/* The same, but "?", which nobody takes, where it has no type or its parameters cannot be read. Patches do not care. */
const char *content_type_of_body(struct arena *a, const char *content_type);
/* Whether any clause asks for aggregated discovery, and in what form: those that do not are no rivals. */
bool negotiate_discovery(struct arena *a, const char *accept, enum media_type *ret);
/* The place in TYPES (up to NULL) of the one that ACCEPT asks for first, -1: of none. For what knows no parameters. */
int negotiate_plain(struct arena *a, const char *accept, const char *const *types);
/* For pages for people that programs may have as KIND of config.k8s.io, v1alpha1 or v1beta1 (*ret_version): MEDIA_JSON,
 * MEDIA_YAML, or -1: as text. NULL, or a 406. */
const struct status *negotiate_page(struct arena *a, const char *accept, const char *kind, int *ret_type, const char **ret_version);
