/* What the files of auth/ share. */
#pragma once

#include "../../lib/base/map.h"
#include "../../lib/tls/jwt.h"
#include "../../lib/tls/pki.h"
#include "../registry/registry.h"
#include "auth.h"
#include "rbac.h"

struct node_graph;
struct token_cache;

/* One a process: an API server has one idea of who may what. */
struct auth {
        struct loop *loop;
        struct store *store;
        struct rbac *rbac;
        struct node_graph *nodes;
        struct token_cache *tokens;
        struct jwt_keys *keys;
        char *issuer, *jwks_uri;
        char **audiences; /* NULL-terminated */
        struct pki_trust *front_proxy;
        char **front_proxy_names; /* NULL: any */
        bool no_anonymous;
        char *client_ca_file, *requestheader_ca_file, *components; /* may be NULL */
        /* Certificates seen, by a hash of their bytes: who they are need not be worked out a request. */
        struct map certificates;
        size_t n_certificates;
        struct map impersonators; /* by name: 1 + the mode that let them in last */
};
extern struct auth *the_auth;

/* --- lists of strings in an arena --- */
const char **strings_new(struct arena *a, size_t max);
size_t strings_len(const char *const *list);
bool strings_has(const char *const *list, const char *s);
/* LIST with S at its end, in A. */
const char *const *strings_with(struct arena *a, const char *const *list, const char *s);
const char *const *strings_read(struct arena *a, const struct json *array); /* NULL when empty */
struct json *strings_json(struct arena *a, const char *const *list);

/* --- objects from the cache --- */
/* Parsed in A; NULL: there is none. */
struct json *auth_lookup(struct arena *a, const char *group, const char *version, const char *resource,
                         const char *namespace, const char *name);
struct entry *auth_lookup_entry(struct arena *a, const char *group, const char *version, const char *resource,
                                const char *namespace, const char *name);

/* --- bearer tokens --- */
enum token_outcome { TOKEN_OK = 0, TOKEN_INVALID = 1 };
/* AUDIENCES: what the token must be for at least one of; NULL: this server's. On success *ret_user and those
 * audiences are in the request's arena; else *ret_error is upstream's text. */
int token_authenticate(struct api_request *r, const char *token, const char *const *audiences,
                       struct user_info *ret_user, const char *const **ret_audiences, const char **ret_error);
struct token_cache *token_cache_new(void);
void token_cache_free(struct token_cache *c);

/* What a header says, in A: bytes that are no UTF-8 become U+FFFD, so that it can stand in JSON. */
const char *header_text(struct arena *a, const char *value);
/* The key of a user's extra values in a header's name: "Foo%2fbar" is foo/bar. */
const char *extra_key(struct arena *a, const char *name);

/* --- impersonation --- */
const struct status *impersonate(struct api_request *r);
/* What the request asks for, by its user. */
void request_attributes(struct api_request *r, struct authz_attributes *ret);
/* 403 with the text of a denial. */
const struct status *forbidden(struct arena *a, const struct authz_attributes *at, const char *reason);

/* --- the Node authorizer --- */
struct node_graph *node_graph_new(struct store *s);
void node_graph_free(struct node_graph *g);
/* The node's name when the user is a kubelet (system:node:NAME in system:nodes); NULL else. */
const char *node_identity(const struct user_info *user);
enum authz_decision node_authorize(struct node_graph *g, struct arena *a, const struct authz_attributes *at,
                                   const char **ret_reason);
