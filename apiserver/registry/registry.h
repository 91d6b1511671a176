/* The generic store: create, get, list, update, patch, delete, watch of any kind (upstream's
 * registry/generic). All functions run on the request's fiber.
 */
#pragma once

#include "../request.h"
#include "../storage/store.h"

/* Where the object of a request lives: "/registry/<prefix>/<namespace>/<name>". */
char *registry_key(struct arena *a, const struct resource *res, const char *namespace, const char *name);

/* A stored object parsed in the arena, in the version of RES. */
const struct status *registry_get(struct api_request *r, const struct resource *res, const char *namespace,
                                  const char *name, struct json **ret);

/* OBJ: decoded, defaulted, of the request's version; the registry does the rest: names, metadata,
 * strategy, managedFields, validation, admission, storage. *ret is what was stored (or would be). */
const struct status *registry_create(struct api_request *r, const struct resource *res, const char *namespace,
                                     struct json *obj, struct json **ret);

/* UPDATE is asked for the new object from the stored one, again after each conflict. OLD is NULL when
 * there is none (create on update, apply). */
typedef const struct status *registry_update_fn(struct api_request *r, const struct json *old, struct json **ret_new,
                                                void *userdata);
const struct status *registry_update(struct api_request *r, const struct resource *res, const char *namespace,
                                     const char *name, const char *subresource, registry_update_fn *fn, void *userdata,
                                     struct json **ret, bool *ret_created);

/* OPTIONS: a DeleteOptions object or NULL. *ret is the object (deleted or marked), *ret_gone tells which. */
const struct status *registry_delete(struct api_request *r, const struct resource *res, const char *namespace,
                                     const char *name, const struct json *options, struct json **ret, bool *ret_gone);
