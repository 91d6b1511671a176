/* Which FlowSchema a request belongs to: schemas compiled to tables, and the match. Pure, and without allocation: it is
 * on the way of every request.
 */
#pragma once

#include "../request.h"

struct flow_subject {
        enum { FLOW_USER, FLOW_GROUP, FLOW_ACCOUNT, FLOW_ACCOUNTS } kind;
        const char *name; /* "*" is everybody; of FLOW_ACCOUNTS the prefix "system:serviceaccount:NS:" */
};

/* A list of strings of a rule; ALL: it has "*". */
struct flow_strings {
        const char *const *list; /* NULL-terminated */
        bool all;
};

struct flow_rule {
        const struct flow_subject *subjects;
        size_t n_subjects;
        struct flow_resources {
                struct flow_strings verbs, groups, resources, namespaces;
                bool cluster;
        } *resources;
        size_t n_resources;
        struct flow_paths {
                struct flow_strings verbs, paths;
        } *paths;
        size_t n_paths;
};

struct flow_schema {
        const char *name, *level, *uid;
        int64_t precedence;
        enum { FLOW_BY_NOTHING, FLOW_BY_USER, FLOW_BY_NAMESPACE } by;
        const struct flow_rule *rules;
        size_t n_rules;
        struct flow_count *count; /* the owner's */
};

/* Everything in A; SCHEMA's strings may stay in OBJ. */
void flow_compile(struct arena *a, const struct json *obj, struct flow_schema *ret);
/* By precedence, then name: for qsort. */
int flow_schema_cmp(const void *x, const void *y);
/* The first of SCHEMAS, which are in order, that R fits; NULL: none. */
const struct flow_schema *flow_classify(const struct flow_schema *schemas, size_t n, const struct api_request *r);
/* Which of the schema's flows R is in. */
uint64_t flow_hash(const struct flow_schema *s, const struct api_request *r);
