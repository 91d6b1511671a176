/* Versions of custom resources, and webhooks that convert them: see conversion.c. */
#pragma once

#include "registry.h"

/* May park: has OBJS, which are of another version than TO, converted in place. */
const struct status *conversion_of(struct api_request *r, const struct resource *to, struct json **objs, size_t n);
/* What the webhook made of OBJ when it was asked, in A; NULL: OBJ needs none, or it was not asked. */
struct json *conversion_find(struct arena *a, const struct resource *to, const struct json *obj);
/* May park. OBJ of RES as it is stored, and back: other than itself only where RES is not the storage version. */
const struct status *conversion_to_storage(struct api_request *r, const struct resource *res, struct json **obj);
const struct status *conversion_from_storage(struct api_request *r, const struct resource *res, struct json **obj);
/* Whether E, an object of RES, lies in another version than the storage version. */
bool conversion_outdated(const struct resource *res, const struct entry *e);
