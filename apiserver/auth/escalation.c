/* Nobody grants what he does not hold: writes of roles and bindings are checked against the writer's own
 * rules, unless he has the verbs "escalate" (roles) or "bind" (the role of a binding).
 */
#include "internal.h"

static const char group[] = "rbac.authorization.k8s.io";

static bool is_superuser(const struct user_info *user)
{
        return user_in_group(user, "system:masters");
}

/* NULL when all of RULES are held; else "user "x" (groups=["g"]) is attempting to grant ...". */
static const char *not_held(struct api_request *r, const char *namespace, const struct rbac_rules *rules)
{
        struct arena *a = r->arena;
        struct rbac_rules own, missing;
        const char *errors = NULL;
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        /* What is missing is called by the resource of the request, here: so does the storage that upstream asks. */
        rbac_rules_for(the_auth->rbac, a, &r->user, namespace, r->resource, &own, &errors);
        if (rbac_covers(a, &own, rules, &missing))
                return NULL;
        strbuf_puts(&b, "user ");
        go_quote(&b, r->user.name, strlen(r->user.name));
        strbuf_puts(&b, " (groups=[");
        for (size_t i = 0; r->user.groups && r->user.groups[i]; i++) {
                strbuf_puts(&b, i ? " " : "");
                go_quote(&b, r->user.groups[i], strlen(r->user.groups[i]));
        }
        strbuf_printf(&b, "]) is attempting to grant RBAC permissions not currently held:\n%s",
                      rbac_rules_print(a, &missing));
        if (errors)
                strbuf_printf(&b, "; resolution errors: [%s]", errors);
        return arena_strndup(a, b.data, b.len);
}

static const char *name_of(const struct json *obj)
{
        const char *name = json_path_string(obj, "metadata.name");

        return name ? name : "";
}

/* What the garbage collector needs to let go of an object gives nobody a right. */
static bool only_collecting(struct arena *a, const struct json *obj, const struct json *old)
{
        static const char *const fields[] = { "ownerReferences", "finalizers", "managedFields" };
        struct json *x = json_clone(a, obj), *y = old ? json_clone(a, old) : NULL;

        for (size_t i = 0; y && i < ARRAY_SIZE(fields); i++) {
                json_del(json_get(x, "metadata"), fields[i]);
                json_del(json_get(y, "metadata"), fields[i]);
        }
        return y && json_equal(x, y);
}

static bool aggregates(const struct json *role)
{
        return json_len(json_path(role, "aggregationRule.clusterRoleSelectors")) > 0;
}

static const struct status *check_role(struct api_request *r, const struct resource *res, const struct json *obj,
                                       const struct json *old)
{
        static const char all[] = "[{\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]},"
                                  "{\"nonResourceURLs\":[\"*\"],\"verbs\":[\"*\"]}]";
        const char *ns = res->namespaced ? r->namespace : NULL, *why;
        struct rbac_rules rules;
        struct json *full = NULL;

        /* By the URL's name: what is created has none there. */
        if (auth_user_may(r, &r->user, "escalate", group, res->name, "", ns, r->name))
                return NULL;
        rbac_rules_read(r->arena, json_get(obj, "rules"), &rules);
        why = not_held(r, ns, &rules);
        if (why)
                return status_forbidden(r->arena, res, name_of(obj), "%s", why);
        if (!aggregates(obj) && !aggregates(old))
                return NULL;
        json_parse(r->arena, all, sizeof(all) - 1, NULL, &full, NULL);
        rbac_rules_read(r->arena, full, &rules);
        if (!not_held(r, NULL, &rules))
                return NULL;
        return status_forbidden(r->arena, res, name_of(obj), "must have cluster-admin privileges to use the aggregationRule");
}

static const struct status *check_binding(struct api_request *r, const struct resource *res, const struct json *obj)
{
        const char *ns = res->namespaced ? r->namespace : NULL, *why;
        const char *role = json_path_string(obj, "roleRef.name"), *of = json_path_string(obj, "roleRef.apiGroup");
        const char *kind = json_path_string(obj, "roleRef.kind");
        bool cluster = streq(kind, "ClusterRole");
        struct rbac_rules rules;

        if (!cluster && !streq(kind, "Role"))
                return status_make(r->arena, 500, "", NULL, "unsupported role reference kind: \"%s\"", kind ? kind : "");
        role = role ? role : "";
        if (auth_user_may(r, &r->user, "bind", of ? of : "", cluster ? "clusterroles" : "roles", "", ns, role))
                return NULL;
        if (!rbac_role_rules(the_auth->rbac, cluster ? NULL : ns, role, &rules))
                return status_not_found(r->arena, res, role);
        why = not_held(r, ns, &rules);
        return why ? status_forbidden(r->arena, res, name_of(obj), "%s", why) : NULL;
}

const struct status *auth_check_escalation(struct api_request *r, const struct resource *res, const struct json *obj,
                                           const struct json *old)
{
        if (!res || !streq(res->group, group) || is_superuser(&r->user) || only_collecting(r->arena, obj, old))
                return NULL;
        if (streq(res->name, "roles") || streq(res->name, "clusterroles"))
                return check_role(r, res, obj, old);
        if (streq(res->name, "rolebindings") || streq(res->name, "clusterrolebindings"))
                return check_binding(r, res, obj);
        return NULL;
}
