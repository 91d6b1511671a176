/* A client of the Kubernetes API: who we are, where the server is, and one call a verb.
 *
 * All calls run on a fiber and park. Answers are JSON trees in the caller's arena. A Status answer
 * becomes a positive outcome, so that callers handle what they expect and pass up the rest.
 */
#pragma once

#include "../http/client.h"
#include "../json/json.h"

struct client;

enum client_outcome {
        CLIENT_OK = 0,
        CLIENT_NOT_FOUND = 1, /* 404 */
        CLIENT_CONFLICT,      /* 409, reason Conflict */
        CLIENT_EXISTS,        /* 409, reason AlreadyExists */
        CLIENT_FORBIDDEN,     /* 403 */
        CLIENT_UNAUTHORIZED,  /* 401 */
        CLIENT_INVALID,       /* 422 and 400 */
        CLIENT_GONE,          /* 410 */
        CLIENT_BUSY,          /* 429, 503, 504: try again later */
        CLIENT_REFUSED,       /* any other Status */
};

/* KUBECONFIG: a path. -EINVAL when it says nothing usable. USER_AGENT: "colibri-scheduler". */
int client_new(struct loop *loop, const char *kubeconfig, const char *user_agent, struct client **ret,
               struct error *reterr);
void client_free(struct client *c);
const char *client_server(const struct client *c); /* "https://127.0.0.1:6443" */
struct http_client *client_http(struct client *c);

/* PATH: "/api/v1/namespaces/default/pods/x?dryRun=All". BODY may be NULL. *ret (may be NULL) is the
 * object, or the Status where the outcome is positive; reterr then holds its message. */
int client_call(struct client *c, const char *method, const char *path, const char *content_type,
                const struct json *body, struct arena *a, struct json **ret, struct error *reterr);
int client_get(struct client *c, const char *path, struct arena *a, struct json **ret, struct error *reterr);
int client_create(struct client *c, const char *path, const struct json *body, struct arena *a,
                  struct json **ret, struct error *reterr);
int client_update(struct client *c, const char *path, const struct json *body, struct arena *a,
                  struct json **ret, struct error *reterr);
enum client_patch { CLIENT_PATCH_JSON, CLIENT_PATCH_MERGE, CLIENT_PATCH_STRATEGIC };
int client_patch(struct client *c, const char *path, enum client_patch type, const struct json *body,
                 struct arena *a, struct json **ret, struct error *reterr);
/* OPTIONS: a metav1.DeleteOptions object, or NULL. */
int client_delete(struct client *c, const char *path, const struct json *options, struct arena *a,
                  struct json **ret, struct error *reterr);

/* "/api/v1/namespaces/NS/pods/NAME" from its parts; NAMESPACE or NAME may be NULL. GROUP "" is core. */
char *client_path(struct arena *a, const char *group, const char *version, const char *resource,
                  const char *namespace, const char *name, const char *subresource);

/* --- for those who speak HTTP themselves (informers) --- */
struct loop *client_loop(struct client *c);
#define CLIENT_HEADERS 6
/* Fills the headers of a request: user agent, Accept (NULL: JSON), content type (NULL: none), token. */
void client_headers(struct client *c, struct arena *a, const char *content_type, const char *accept,
                    const char *ret_headers[CLIENT_HEADERS]);
void client_unauthorized(struct client *c); /* a 401 was seen: the token is read again */
/* What an HTTP status with its Status object means: CLIENT_OK or a positive outcome. */
int client_outcome(unsigned status, const struct json *body);
/* As client_call, asking for another form: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1". */
int client_call_accept(struct client *c, const char *method, const char *path, const char *content_type,
                       const char *accept, const struct json *body, struct arena *a, struct json **ret,
                       struct error *reterr);
