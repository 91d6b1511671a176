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

        rbac_rules_for(the_auth->rbac, a, &r->user, namespace, &own, &errors);
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

static const struct status *check_role(struct api_request *r, const struct resource *res, const struct json *obj,
                                       const struct json *old)
{
        const char *ns = res->namespaced ? json_path_string(obj, "metadata.namespace") : NULL, *why;
        const struct json *aggregation = json_get(obj, "aggregationRule");
        struct rbac_rules rules;

        if (old && json_equal(json_get(obj, "rules"), json_get(old, "rules")) &&
            json_equal(aggregation, json_get(old, "aggregationRule")))
                return NULL;
        if (auth_user_may(r, &r->user, "escalate", group, res->name, "", ns, name_of(obj)))
                return NULL;
        if (json_is_object(aggregation)) {
                struct json *all = NULL;
                static const char text[] = "[{\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]},"
                                           "{\"nonResourceURLs\":[\"*\"],\"verbs\":[\"*\"]}]";

                json_parse(r->arena, text, sizeof(text) - 1, NULL, &all, NULL);
                rbac_rules_read(r->arena, all, &rules);
                if (not_held(r, NULL, &rules))
                        return status_forbidden(r->arena, res, name_of(obj),
                                                "must have cluster-admin privileges to use the aggregationRule");
        }
        rbac_rules_read(r->arena, json_get(obj, "rules"), &rules);
        why = not_held(r, ns, &rules);
        return why ? status_forbidden(r->arena, res, name_of(obj), "%s", why) : NULL;
}

static const struct status *check_binding(struct api_request *r, const struct resource *res, const struct json *obj,
                                          const struct json *old)
{
        const char *ns = res->namespaced ? json_path_string(obj, "metadata.namespace") : NULL, *why;
        const char *role = json_path_string(obj, "roleRef.name");
        bool cluster = !streq(json_path_string(obj, "roleRef.kind"), "Role");
        struct rbac_rules rules;

        if (old && json_equal(json_get(obj, "subjects"), json_get(old, "subjects")) &&
            json_equal(json_get(obj, "roleRef"), json_get(old, "roleRef")))
                return NULL;
        if (!role || auth_user_may(r, &r->user, "bind", group, cluster ? "clusterroles" : "roles", "", ns, role))
                return NULL;
        if (!rbac_role_rules(the_auth->rbac, cluster ? NULL : ns, role, &rules))
                return status_not_found(r->arena, builtin_resource(group, "v1", cluster ? "clusterroles" : "roles"), role);
        why = not_held(r, ns, &rules);
        return why ? status_forbidden(r->arena, res, name_of(obj), "%s", why) : NULL;
}

const struct status *auth_check_escalation(struct api_request *r, const struct resource *res, const struct json *obj,
                                           const struct json *old)
{
        if (!res || !streq(res->group, group) || is_superuser(&r->user))
                return NULL;
        if (streq(res->name, "roles") || streq(res->name, "clusterroles"))
                return check_role(r, res, obj, old);
        if (streq(res->name, "rolebindings") || streq(res->name, "clusterrolebindings"))
                return check_binding(r, res, obj, old);
        return NULL;
}
