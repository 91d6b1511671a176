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
        const char *field_selector;     /* of list and watch, as sent; NULL or "": none */
};
enum authz_decision { AUTHZ_NO_OPINION, AUTHZ_ALLOW, AUTHZ_DENY };
/* Node authorizer, then RBAC. *ret_reason (may be NULL) is in the request's arena. */
enum authz_decision authorize(struct api_request *r, const struct authz_attributes *at, const char **ret_reason);
/* For the request itself: NULL, or the 403 with upstream's text. */
const struct status *authorize_request(struct api_request *r);

/* --- set-up: one a process --- */
struct auth_options {
        struct loop *loop;
        struct store *store;
        /* Service-account tokens. KEY_FILES: what verifies (PEM public keys, private keys or certificates);
         * SIGNING_KEY_FILE: what signs, its public half verifies too. */
        const char *const *key_files;      /* NULL-terminated; may be NULL */
        const char *signing_key_file;
        const char *issuer;                /* NULL: "https://kubernetes.default.svc.cluster.local" */
        const char *const *audiences;      /* of this server; NULL: the issuer */
        const char *jwks_uri;              /* NULL: "https://kubernetes.default.svc.cluster.local/openid/v1/jwks" */
        /* The front proxy: NULL ca: its headers are not trusted. */
        const char *requestheader_ca_file;
        const char *const *requestheader_allowed_names; /* NULL: any common name */
        const char *client_ca_file;        /* published with the front proxy's, for servers behind this one; may be NULL */
        const char *components;            /* what the cluster consists of: "proxy,kubelet"; NULL or "": this server alone */
        bool no_anonymous;
};
/* Call before the server listens; the store may still be loading: until store_ready() every request is
 * judged as if there were no roles (system:masters may all the same). */
int auth_init(const struct auth_options *o, struct error *reterr);
void auth_deinit(void);

/* Creates what is missing of the namespaces, roles, bindings, priority classes and flow schemas that a new
 * cluster starts with, and adds rules and subjects that existing default roles lack. On a fiber, when
 * store_ready(). R: a request of the server itself (user system:apiserver, an arena), not of a client. */
int auth_bootstrap(struct api_request *r, struct error *reterr);

/* The part of it that is about flow schemas and priority levels: those that are marked as kept up to date, and the two
 * that every cluster has, are also made again as they should be. */
int auth_bootstrap_flow(struct api_request *r, struct error *reterr);

/* --- what HTTP routes here --- */
/* tokenreviews, selfsubjectreviews, subjectaccessreviews and kin, selfsubjectrulesreviews: kinds that are
 * created and never stored. True: RES is one. OBJ is decoded and defaulted. */
bool auth_is_review(const struct resource *res);
const struct status *auth_create_review(struct api_request *r, const struct resource *res, struct json *obj,
                                        struct json **ret);
/* POST .../serviceaccounts/NAME/token: OBJ is the decoded TokenRequest, *ret the one with its token. */
const struct status *auth_create_token(struct api_request *r, struct json *obj, struct json **ret);
/* GET /.well-known/openid-configuration and /openid/v1/jwks: JSON text in the request's arena and its media type. */
const char *auth_openid_configuration(struct api_request *r, const char **ret_type);
const char *auth_openid_jwks(struct api_request *r, const char **ret_type);

/* --- for the registry and admission --- */
/* Roles and bindings: who writes one must hold what it grants (or may escalate or bind). NULL: fine. OLD is
 * NULL on create. Call with the object as it will be stored, before validation's end. */
const struct status *auth_check_escalation(struct api_request *r, const struct resource *res, const struct json *obj,
                                           const struct json *old);
/* May this user do that? For checks beside the request's own (CSR signers, impersonation, finalizers). */
bool auth_user_may(struct api_request *r, const struct user_info *user, const char *verb, const char *group,
                   const char *resource, const char *subresource, const char *namespace, const char *name);
bool user_in_group(const struct user_info *user, const char *group);
