/* Objects by schema, as server-side apply sees them: what differs, which fields are there, merging,
 * taking fields out. The rules are those of structured-merge-diff.
 *
 * Scalars and atomic lists, maps and structs are leaves. Lists of type set and map are keyed. ANY is
 * a leaf in built-in kinds, and "deduced" in custom resources: objects are maps, lists are atomic.
 */
#pragma once

#include "field-set.h"
#include "schema.h"

struct typed {
        struct arena *a;
        const struct schema *schema;
        bool deduce; /* custom resources: fields without a schema are followed */
        struct json *leaf; /* typed_new_fields(): the {} of all that have nothing below them */
};

struct comparison {
        struct field_set *added, *modified, *removed;
};

/* What makes R out of L (NULL: nothing). metadata.managedFields is not looked at. */
void typed_compare(const struct typed *t, const struct json *l, const struct json *r, struct comparison *ret);
/* The FieldsV1 of all that J, a new object of a built-in or custom kind, has besides ZERO: what typed_compare() says is added
 * or modified, without the sets. SKIP (NULL-terminated): members of the object that do not count, as "status"; apiVersion,
 * kind, and what the server writes into metadata never do. NULL: there is nothing. */
struct json *typed_new_fields(const struct typed *t, const struct json *zero, const struct json *j, const char *const *skip);
/* The fields that applying J owns. */
struct field_set *typed_field_set(const struct typed *t, const struct json *j);
/* LIVE with what CONFIG says; shares subtrees with both. */
struct json *typed_merge(const struct typed *t, const struct json *live, const struct json *config);
/* J without the members of SET; shares what is not touched. Never NULL. */
struct json *typed_remove(const struct typed *t, const struct json *j, const struct field_set *set);
/* SET with every declared struct field that has something below it as a member too. */
struct field_set *typed_named_members(const struct typed *t, const struct field_set *set);
/* NULL, or why J does not fit: ".spec.foo: field not declared in schema". */
const char *typed_validate(const struct typed *t, const struct json *j);
