/* One function a verb. Each answers the request. */
#pragma once

#include "body.h"

void verb_get(struct api_request *r);
void verb_list(struct api_request *r);
void verb_watch(struct api_request *r);
void verb_create(struct api_request *r);
void verb_update(struct api_request *r);
void verb_patch(struct api_request *r);
void verb_delete(struct api_request *r);
void verb_delete_collection(struct api_request *r);

void verb_get_subresource(struct api_request *r);
void verb_create_subresource(struct api_request *r); /* binding, eviction, token */
void verb_create_binding(struct api_request *r);     /* POST to bindings */

/* exec, attach, portforward, log, proxy: bytes to and from the node (connect.c). */
void connect_subresource(struct api_request *r);

void nonresource_handle(struct api_request *r);

/* The wait that a read's resourceVersion asks for: none, the newest, or at least N. *ret_rv: N, 0 when
 * unset or "0"; *ret_any: "0" was given. */
const struct status *read_wait(struct api_request *r, const char *rv, uint64_t *ret_rv, bool *ret_any);

/* A patch in the request's body, applied to any tree. */
struct patch {
        enum { PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC, PATCH_APPLY } type;
        struct json *body;
        bool force;
        struct strict_errors strict;
        const struct status *bad;    /* why the body is no patch: said once it is known what it is about */
};
const struct status *patch_parse(struct api_request *r, struct patch *ret);
/* TYPE: what the result must decode as. OLD is not changed. Result defaulted. */
const struct status *patch_run(struct api_request *r, const struct patch *p, const struct body_type *type,
                               const struct json *old, struct json **ret);
