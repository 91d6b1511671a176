/* Sets of fields, as metadata.managedFields holds them (FieldsV1).
 *
 * A set is a trie. An edge is named by the text that FieldsV1 writes: "f:spec", "k:{\"name\":\"c\"}",
 * "v:\"a\"", "i:0"; equal text is an equal path element. A node is in the set when its member bit is
 * set, whether or not there is more below it.
 *
 *      {"f:spec":{"f:replicas":{},"f:ports":{".":{},"k:{\"port\":80}":{}}}}
 *      holds .spec.replicas, .spec.ports and .spec.ports[port=80], not .spec
 */
#pragma once

#include "../../lib/json/json.h"

struct field_node;

struct field_set {
        struct field_node *nodes; /* sorted by name */
        uint32_t n, cap;
};

struct field_node {
        const char *name;
        uint32_t len;
        bool member;
        struct field_set below;
};

struct field_set *field_set_new(struct arena *a);
/* NULL: something in it is no field ("spec" instead of "f:spec"). */
struct field_set *field_set_parse(struct arena *a, const struct json *fields_v1);
struct json *field_set_json(struct arena *a, const struct field_set *s);
bool field_set_empty(const struct field_set *s); /* NULL allowed; true when no member is left in it */

const struct field_node *field_set_find(const struct field_set *s, const char *name, size_t len);
/* Finds or makes; NAME is borrowed. The pointer is good until the next insertion into S. */
struct field_node *field_set_node(struct arena *a, struct field_set *s, const char *name, size_t len);

/* These make new sets and share what they can with X and Y, which are not changed. */
struct field_set *field_set_union(struct arena *a, const struct field_set *x, const struct field_set *y);
struct field_set *field_set_difference(struct arena *a, const struct field_set *x, const struct field_set *y);
struct field_set *field_set_intersection(struct arena *a, const struct field_set *x, const struct field_set *y);

/* Takes PATH ("spec.foo", names only) out of S in place, with all below it when DEEP. */
void field_set_drop(struct field_set *s, const char *path, bool deep);
/* Takes the fields of these names (up to NULL) out of S, in place; what is below them stays. */
void field_set_drop_names(struct field_set *s, const char *const *names);
bool field_set_equal(const struct field_set *x, const struct field_set *y);

/* Calls FN for each member, at every level those before what is below them, with its path as messages show it: .spec.ports[port=80].name */
void field_set_walk(struct arena *a, const struct field_set *s, void (*fn)(const char *path, void *userdata),
                    void *userdata);
