/* The RBAC authorizer: roles and bindings of the whole cluster, compiled and kept current. */
#pragma once

#include "rbac-rules.h"

struct rbac;

struct rbac *rbac_new(struct store *s); /* S may be NULL: fed by rbac_put_role() and rbac_put_binding() */
void rbac_free(struct rbac *r);
bool rbac_ready(struct rbac *r); /* it has seen everything */

/* NULL namespace: the cluster's. OBJ is copied. */
void rbac_put_role(struct rbac *r, const char *namespace, const char *name, const struct json *obj);
void rbac_put_binding(struct rbac *r, const char *namespace, const char *name, const struct json *obj);
void rbac_del_role(struct rbac *r, const char *namespace, const char *name);
void rbac_del_binding(struct rbac *r, const char *namespace, const char *name);

/* *ret_reason in A: why it is allowed, or which roles of this user's bindings do not exist. */
enum authz_decision rbac_authorize(struct rbac *r, struct arena *a, const struct authz_attributes *at,
                                   const char **ret_reason);
/* All rules of a user in a namespace (NULL or "": the cluster's only), in A and borrowed from the roles: use
 * them before the next park. *ret_errors: missing roles, NULL for none; each is called MISSING, or by its kind where that is NULL. */
void rbac_rules_for(struct rbac *r, struct arena *a, const struct user_info *user, const char *namespace,
                    const char *missing, struct rbac_rules *ret, const char **ret_errors);
/* The rules of one role; false: there is none. */
bool rbac_role_rules(struct rbac *r, const char *namespace, const char *name, struct rbac_rules *ret);
