/* The audit Policy (audit.k8s.io/v1): which requests are recorded, and how much of them. Pure; specification:
 * https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
 */
#pragma once

#include "../../lib/json/json.h"

enum audit_level { AUDIT_NONE, AUDIT_METADATA, AUDIT_REQUEST, AUDIT_REQUEST_RESPONSE };
#define AUDIT_STAGE_RECEIVED 1u
#define AUDIT_STAGE_STARTED 2u
#define AUDIT_STAGE_COMPLETE 4u
#define AUDIT_STAGE_PANIC 8u

struct audit_policy; /* in the arena it was read into */

/* What a request is, to a rule. Strings are "" where there is none; USER NULL: nobody (failed authentication). */
struct audit_attributes {
        const char *user, *const *groups, *verb;
        bool is_resource;
        const char *namespace, *group, *resource, *subresource, *name, *path;
};
struct audit_decision {
        enum audit_level level;
        unsigned omit_stages; /* AUDIT_STAGE_ bits */
        bool omit_managed_fields;
};

/* -EINVAL with what is wrong with it. */
int audit_policy_read(struct arena *a, const struct json *doc, struct audit_policy **ret, struct error *reterr);
/* By the first rule that fits; none: AUDIT_NONE. */
struct audit_decision audit_decide(const struct audit_policy *p, const struct audit_attributes *at);
const char *audit_level_name(enum audit_level level);
const char *audit_stage_name(unsigned stage);
