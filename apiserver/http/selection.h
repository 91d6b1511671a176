/* Which objects of a kind a list, watch or deletecollection is about. */
#pragma once

#include "answer.h"
#include "../../lib/meta/selector.h"

struct selection {
        struct selector labels, fields; /* in the arena it was parsed in */
        bool has_labels, has_fields;
        const char *prefix;             /* of keys: "/registry/pods/default/" */
};

/* From the request's query and URL, in arena A (a watch outlives its request). 400 with upstream's texts. */
const struct status *selection_parse(struct api_request *r, struct arena *a, struct selection *ret);
/* The query of what works on a collection: selectors, limit, and whether resourceVersionMatch and the rest go together. */
const struct status *list_query(struct api_request *r, struct selection *ret_sel, int64_t *ret_limit);
/* What a list would answer: its entries (free() them, after entry_unref() of each) and its metadata. May park. */
const struct status *list_entries(struct api_request *r, struct entry ***ret, size_t *ret_n, struct json **ret_meta);
bool selection_matches(const struct selection *s, const struct entry *e);

/* An unsigned or signed decimal option; absent or "" is OTHERWISE. 400 with strconv's text. */
const struct status *query_int(struct api_request *r, const char *name, int64_t otherwise, int64_t *ret);

/* The offset behind `{"kind":...,"apiVersion":...,`: items of built-in lists come without them. 0: there
 * is no such front. */
uint32_t entry_front(const struct entry *e);
