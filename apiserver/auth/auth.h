/* Who asks, and whether they may. */
#pragma once

#include "../request.h"

/* Fills r->user and r->real_user from the client certificate, the bearer token or front-proxy headers;
 * without any of them system:anonymous. Carries out impersonation. 401 as upstream answers it. */
const struct status *authenticate(struct api_request *r);

struct authz_attributes {
        const struct user_info *user;
        const char *verb, *group, *version, *namespace, *resource, *subresource, *name;
        bool is_resource;
        const char *path;               /* of a non-resource request */
};
enum authz_decision { AUTHZ_NO_OPINION, AUTHZ_ALLOW, AUTHZ_DENY };
/* Node authorizer, then RBAC. *ret_reason (may be NULL) is in the request's arena. */
enum authz_decision authorize(struct api_request *r, const struct authz_attributes *at, const char **ret_reason);
/* For the request itself: NULL, or the 403 with upstream's text. */
const struct status *authorize_request(struct api_request *r);
