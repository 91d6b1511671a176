/* NamespaceLifecycle: nothing is made in a namespace that is not there or is going; some namespaces stay.
 * And the check of RBAC writes, which upstream has in the storage of those kinds. */
#include "internal.h"

static const struct status *terminating(struct admission_attributes *at)
{
        struct arena *a = at->request->arena;
        struct json *details = json_new_object(a), *cause = json_new_object(a);
        const char *group = at->res->group, *name = admission_name(at);

        json_set_string(a, details, "name", name);
        if (*group)
                json_set_string(a, details, "group", group);
        json_set_string(a, details, "kind", at->res->name);
        json_set_string(a, cause, "reason", "NamespaceTerminating");
        json_set_string(a, cause, "message", arena_printf(a, "namespace %s is being terminated", at->namespace));
        json_set_string(a, cause, "field", "metadata.namespace");
        json_append(a, json_ensure_array(a, details, "causes"), cause);
        return status_make(a, 403, "Forbidden", details,
                           "%s%s%s \"%s\" is forbidden: unable to create new content in namespace %s because it is being "
                           "terminated",
                           at->res->name, *group ? "." : "", group, name, at->namespace);
}

static const struct status *lifecycle(struct admission_attributes *at)
{
        static const char *const immortal[] = { "default", "kube-system", "kube-public" };
        const struct json *ns;

        if (at->op == ADMISSION_DELETE) {
                for (size_t i = 0; about(at, "", "namespaces") && i < ARRAY_SIZE(immortal); i++) {
                        if (streq(at->name, immortal[i]))
                                return deny(at, "this namespace may not be deleted");
                }
                return NULL;
        }
        if (!*at->namespace || about(at, "", "namespaces"))
                return NULL;
        if (admission_has(at, "", "v1", "namespaces", "", at->namespace, "\"phase\":\"Active\"") &&
            !admission_has(at, "", "v1", "namespaces", "", at->namespace, "deletionTimestamp"))
                return NULL;
        ns = admission_get(at, "", "v1", "namespaces", "", at->namespace);
        if (!ns) {
                admission_catch_up(at);
                ns = admission_get(at, "", "v1", "namespaces", "", at->namespace);
        }
        if (!ns)
                return status_not_found(at->request->arena, builtin_resource("", "v1", "namespaces"), at->namespace);
        if (at->op == ADMISSION_CREATE &&
            (json_path(ns, "metadata.deletionTimestamp") || streq(get_string(ns, "status.phase"), "Terminating")))
                return terminating(at);
        return NULL;
}

const struct admission_plugin plugin_namespace_lifecycle = {
        .name = "NamespaceLifecycle",
        .ops = ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE,
        .mutate = lifecycle,
};

static const struct status *escalation(struct admission_attributes *at)
{
        return *at->subresource ? NULL : auth_check_escalation(at->request, at->res, at->object, at->old);
}

const struct admission_plugin plugin_rbac_escalation = {
        .name = "RBACEscalation",
        .ops = ADMISSION_CREATE | ADMISSION_UPDATE,
        .mutate = escalation,
};
