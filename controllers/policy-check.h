/* The types that a ValidatingAdmissionPolicy's expressions are checked against (upstream's type checker): what its status
 * warns of. Pure: which kinds there are and what their schemas are is brought by the caller. */
#pragma once

#include "../lib/cel/cel.h"
#include "controllers.h"

struct policy_kind {
        const char *group, *version, *kind;
        const struct cel_shape *shape; /* of its objects; NULL: nothing is known */
};
#define POLICY_KINDS_MAX 64

/* The kinds that the policy's rules name: at most ten of a rule, sorted, each once; those with a wildcard name none.
 * DISCOVERY: the aggregated documents of /api and /apis. Returns how many. */
size_t policy_kinds(struct arena *a, const struct json *policy, const struct json *const discovery[2],
                    struct policy_kind ret[POLICY_KINDS_MAX]);
/* The kind of its parameters. False: it has none. */
bool policy_params(struct arena *a, const struct json *policy, struct policy_kind *ret);
/* status.typeChecking.expressionWarnings: an array, empty if nothing is wrong. PARAMS NULL: it has none. */
struct json *policy_warnings(struct arena *a, const struct json *policy, const struct policy_kind *kinds, size_t n,
                             const struct policy_kind *params);
/* The schema of a kind in a document of /openapi/v3, or NULL. */
const struct json *policy_schema(const struct json *document, const struct policy_kind *k);
