/* The generic store: create, get, update, patch, delete of any kind (upstream's registry/generic). All
 * functions run on the request's fiber. Lists and watches read storage/store.h themselves.
 *
 * Order of a write, as upstream: managed fields, mutating admission, names and system metadata,
 * allocation, the strategy's preparation, validation, validating admission, etcd.
 */
#pragma once

#include "../request.h"
#include "../storage/store.h"

struct strategy;

/* The hooks of a kind; NULL: data says it all. Custom resources have what res->strategy says. */
const struct strategy *registry_strategy(const struct resource *res);

/* Where the object of a request lives: "/registry/<prefix>/<namespace>/<name>". NAMESPACE or NAME may be
 * NULL or "": then it is the prefix of all of them, with a slash at its end. */
char *registry_key(struct arena *a, const struct resource *res, const char *namespace, const char *name);
/* An entry as a tree in A, in the version of RES (events.k8s.io from core, autoscaling/v1 from v2, a CRD's
 * other version). NULL: its JSON cannot be read. */
struct json *registry_object(struct arena *a, const struct resource *res, const struct entry *e);
/* The same as text, *RET_LEN bytes: E's own where it is kept so, else in A. NULL: it cannot be read. */
const char *registry_text(struct arena *a, const struct resource *res, const struct entry *e, size_t *ret_len);
/* May park: to be called before registry_object() of them in a version of RES that a webhook converts to. */
const struct status *registry_converted(struct api_request *r, const struct resource *res, struct entry *const *entries,
                                        size_t n);
/* Whether that has something to ask the webhook. */
bool registry_unconverted(const struct resource *res, const struct entry *e);
/* Whether entries of RES can be sent as they are: they are stored in its version. */
bool registry_sends_bytes(const struct resource *res);
/* OBJ of RES as Tables show it: in the version that is stored. *RET_RES is that version. */
struct json *registry_printed(struct arena *a, const struct resource *res, struct json *obj, const struct resource **ret_res);
/* What an error of the store is to a client. */
const struct status *registry_store_status(struct arena *a, int code, const struct error *err);

/* A stored object parsed in the arena, in the version of RES: linearizable. 404 when it is not there. */
const struct status *registry_get(struct api_request *r, const struct resource *res, const char *namespace,
                                  const char *name, struct json **ret);
/* The same for GET of a subresource: "scale" gives the Scale, others the object. */
const struct status *registry_get_subresource(struct api_request *r, const struct resource *res, const char *namespace,
                                              const char *name, const char *subresource, struct json **ret);

/* OBJ: decoded, defaulted, of the request's version; the registry does the rest: names, metadata,
 * strategy, managedFields, validation, admission, storage. *ret is what was stored (or would be). */
const struct status *registry_create(struct api_request *r, const struct resource *res, const char *namespace,
                                     struct json *obj, struct json **ret);
/* POST to pods/binding and pods/eviction: BODY decoded and defaulted. *ret is the answer (a Status). Others are 405.
 * (serviceaccounts/token, reviews and streams are not the registry's.) */
const struct status *registry_create_subresource(struct api_request *r, const struct resource *res, const char *namespace,
                                                 const char *name, const char *subresource, struct json *body,
                                                 struct json **ret);

/* UPDATE is asked for the new object (decoded, defaulted) from the stored one, again after each conflict. OLD is
 * NULL when there is none (create on update, apply); with SUBRESOURCE "scale" OLD and NEW are Scales, and so is
 * *ret. For server-side apply it sets r->applied: managedFields are then in place, and a missing object is
 * created. The registry checks name, namespace, uid and resourceVersion of what comes. RET_CREATED NULL: the
 * object must be there, UPDATE is never asked without. */
typedef const struct status *registry_update_fn(struct api_request *r, const struct json *old, struct json **ret_new,
                                                void *userdata);
const struct status *registry_update(struct api_request *r, const struct resource *res, const char *namespace,
                                     const char *name, const char *subresource, registry_update_fn *fn, void *userdata,
                                     struct json **ret, bool *ret_created);

/* OPTIONS: a DeleteOptions object or NULL. *ret is the object (deleted or marked), *ret_gone tells which. */
const struct status *registry_delete(struct api_request *r, const struct resource *res, const char *namespace,
                                     const char *name, const struct json *options, struct json **ret, bool *ret_gone);
