/* metadata.managedFields decoded: one entry a manager, operation, version and subresource. */
#pragma once

#include "field-set.h"
#include "schema.h"

struct managed_entry {
        const char *manager, *version, *sub; /* SUB: "" for none */
        bool applied;           /* operation Apply */
        const char *time;       /* as written; NULL: none */
        const struct field_set *set;
        const struct json *json; /* SET as it came; NULL once SET changed */
};

struct managed {
        struct arena *a;
        struct managed_entry *list;
        size_t n, cap;
};

/* Entries of one identity (manager, operation, subresource, and version of Updates) fall together.
 * False: something in it is no entry; RET is then empty. */
bool managed_decode(struct arena *a, const struct json *fields, struct managed *ret);
/* In the order they are stored; NULL when there are none. */
struct json *managed_encode(const struct managed *m);
struct managed_entry *managed_find(struct managed *m, const char *manager, bool applied, const char *version,
                                   const char *sub);
struct managed_entry *managed_add(struct managed *m, const struct managed_entry *e);
void managed_remove(struct managed *m, const struct managed_entry *e);
void managed_drop_empty(struct managed *m);
/* More than ten Updates: the oldest of a version become one entry of "ancient-changes". */
void managed_cap(struct managed *m);

/* "apps/v1" */
const char *resource_group_version(struct arena *a, const struct resource *res);
/* Takes what this endpoint never writes (strategy's reset fields) out of SET. */
void managed_drop_reset(const struct resource *res, const char *sub, struct field_set *set);
/* Takes out what nobody owns: apiVersion, kind, metadata.name ... */
void managed_strip(struct field_set *set);
/* The Go zero value of S as it is written: what a new object is compared with. */
struct json *schema_zero(struct arena *a, const struct schema *s);
