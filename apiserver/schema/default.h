/* Defaults: what a type's defaulting functions set before admission and validation.
 *
 * Plain values are data (`default:` in apiserver/kinds); those that depend on other fields are small
 * named rules in default.c, bound to a type by `rules:`. Idempotent, so that stored objects may be
 * passed through again. What upstream's registry sets (allocated addresses, generated selectors,
 * status.phase of new objects) is not here.
 */
#pragma once

#include "schema.h"

/* Fills in defaults in place; OBJ was decoded (decode.h) and is of RES's version. CRD schemas too:
 * their `default`s are applied wherever the parent exists. */
void schema_default(struct arena *a, const struct resource *res, struct json *obj);
/* The same for a body that is no stored kind (DeleteOptions, Scale, reviews). */
void schema_default_type(struct arena *a, const struct schema *s, struct json *obj);
