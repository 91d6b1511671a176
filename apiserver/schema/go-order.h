/* The order in which Go writes an object: what clients see where an error shows the object as text. */
#pragma once

#include "schema.h"

/* A copy of OBJ: kind and apiVersion, then a struct's fields by number; maps by key. Nodes without members of
 * their own are shared. */
struct json *go_order(struct arena *a, const struct schema *s, const struct json *obj);
/* What a JSON or merge patch walks through becomes a map in Go, sorted by key: does the same to OBJ, a patched
 * copy of go_order(). PATCH: an array of operations, or a merge patch. */
void go_order_patched(struct json *obj, const struct json *patch);
