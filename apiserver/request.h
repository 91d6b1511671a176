/* A request to the API, as the layers hand it down: http -> auth -> registry -> admission -> storage. */
#pragma once

#include "../lib/http/server.h"
#include "registry/status.h"

struct apiserver;
struct audit_event;

struct user_info {
        const char *name;                  /* "system:anonymous" */
        const char *uid;                   /* "" for none */
        const char *const *groups;         /* NULL-terminated */
        const struct json *extra;          /* object of arrays of strings; may be NULL */
};

struct api_request {
        struct apiserver *server;
        struct http_request *http;
        struct arena *arena;               /* the request's */

        /* What the URL names (RequestInfo). */
        const char *path;                  /* of the URL, decoded */
        bool is_resource;
        const char *verb;                  /* get list watch create update patch delete deletecollection; lower-case method else */
        const char *group, *version;       /* "" is core */
        const char *namespace;             /* "" for none */
        const char *resource, *subresource, *name; /* "" for none */
        const struct resource *res;        /* NULL when there is no such resource */
        const char *subpath;               /* what follows the subresource ("a/b" of .../proxy/a/b), not decoded; "" for none */

        struct user_info user;             /* the impersonated one, where one is */
        struct user_info real_user;        /* who sent it */

        /* Query options of writes. */
        bool dry_run;
        const char *field_manager;         /* explicit or from the user agent */
        enum { FIELD_VALIDATION_WARN, FIELD_VALIDATION_STRICT, FIELD_VALIDATION_IGNORE } field_validation;

        bool applied;                      /* the object comes from server-side apply: it may be created, and its
                                            * managedFields are made */
        const struct json *scale_parent;   /* while a write of the scale subresource asks for the new state: the object
                                            * itself. What is applied then is it, not the Scale. */
        const char *expired_continue;      /* for metadata.continue of a 410 */
        const struct media *media;         /* how to answer (http/negotiate.h); NULL: JSON */

        /* The object that was just stored, as the bytes that a GET would send (in the arena), so that the answer
         * need not write it once more. WRITTEN_OF is its tree: NULL, or the answer is another. */
        const struct json *written_of;
        const char *written;
        size_t written_len;

        const char *flow_schema, *flow_level; /* uids, for the answer's headers; NULL: none (flow/flow.h) */

        bool no_sniff;                     /* the answer is a refusal, which no browser shall take for a page */
        const char *audit_id;              /* for the answer's Audit-Id; NULL: none */
        struct audit_event *audit;         /* what is recorded of it (audit/audit.h); NULL: nothing */

        /* Warning headers to send: texts. */
        const char **warnings;
        size_t n_warnings, cap_warnings;

        bool admitted;                     /* what is left to do carries out what admission let in: it is not asked again */
};

/* A request of the server itself, as system:apiserver in system:masters: for what no client asked for.
 * HTTP is NULL. Everything it allocates is in A. */
void request_init_internal(struct api_request *r, struct apiserver *server, struct arena *a);

/* Adds `Warning: 299 - "text"` to the answer, once for equal texts. */
void request_warn(struct api_request *r, const char *fmt, ...) printf_like(2, 3);
