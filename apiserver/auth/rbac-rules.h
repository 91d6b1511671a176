/* RBAC rules: what one allows, and whether some rules hold all that others would grant.
 *
 * Pure functions over rules in an arena; k8s.io/component-helpers/auth/rbac is what they agree with.
 */
#pragma once

#include "auth.h"

/* rbac.authorization.k8s.io/v1 PolicyRule; each list NULL-terminated, NULL when empty. */
struct rbac_rule {
        const char *const *verbs, *const *groups, *const *resources, *const *names, *const *urls;
};
struct rbac_rules {
        struct rbac_rule *list;
        size_t n, cap;
};

/* From the "rules" of a Role. Strings are the tree's: A must hold both. */
void rbac_rules_read(struct arena *a, const struct json *rules, struct rbac_rules *ret);
/* A copy that stands in A alone, and takes little there. */
void rbac_rules_keep(struct arena *a, const struct rbac_rules *rules, struct rbac_rules *ret);
bool rbac_rule_allows(const struct rbac_rule *rule, const struct authz_attributes *at);
bool rbac_rules_allow(const struct rbac_rules *rules, const struct authz_attributes *at);

/* Which of SERVANT's permissions OWNER lacks, each broken down to one verb of one resource. True: none. */
bool rbac_covers(struct arena *a, const struct rbac_rules *owner, const struct rbac_rules *servant,
                 struct rbac_rules *ret_missing);
/* {APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}, one a line, sorted, those that differ only in
 * their verb put together. */
char *rbac_rules_print(struct arena *a, const struct rbac_rules *rules);
