/* The chain of admission plugins, in upstream's order, and the small things they share. */
#include "internal.h"
#include "webhook-call.h"

struct loop *admission_loop;
struct store *admission_store;

const struct admission_plugin *const admission_plugins[] = {
        &plugin_namespace_lifecycle, &plugin_limit_ranger, &plugin_service_account,
        &plugin_node_restriction, &plugin_taint_nodes, &plugin_pod_security,
        &plugin_priority,        &plugin_default_toleration_seconds, &plugin_default_storage_class,
        &plugin_storage_protection, &plugin_claim_resize, &plugin_runtime_class, &plugin_certificate_approval,
        &plugin_default_ingress_class, &plugin_topology_labels, &plugin_declared_features, &plugin_pod_resize,
        &plugin_mutating_policies,
        &plugin_mutating_webhooks, &plugin_rbac_escalation, &plugin_validating_policies, &plugin_validating_webhooks, &plugin_resource_quota, NULL,
};

void admission_init(struct loop *loop, struct store *store)
{
        admission_loop = loop;
        admission_store = store;
}

void admission_deinit(void)
{
        quota_deinit();
        webhook_call_deinit();
        admission_loop = NULL;
        admission_store = NULL;
}

static const struct status *mutate_once(struct admission_attributes *at)
{
        for (const struct admission_plugin *const *p = admission_plugins; *p; p++) {
                const struct status *st;

                if (((*p)->ops & at->op) && (*p)->mutate && (st = (*p)->mutate(at)))
                        return st;
        }
        return NULL;
}

/* When a webhook changed the object, all plugins look at it once more, and those webhooks that asked for it. */
const struct status *admission_mutate(struct admission_attributes *at)
{
        const struct status *st = at->request->admitted ? NULL : mutate_once(at);

        if (st || !at->reinvoke)
                return st;
        at->reinvoking = true;
        return mutate_once(at);
}

const struct status *admission_validate(struct admission_attributes *at)
{
        for (const struct admission_plugin *const *p = admission_plugins; *p && !at->request->admitted; p++) {
                const struct status *st;

                if (((*p)->ops & at->op) && (*p)->validate && (st = (*p)->validate(at)))
                        return st;
        }
        return NULL;
}

void admission_undo(struct admission_attributes *at)
{
        quota_undo(at);
}

/* --- shared --- */

struct json *admission_copy(struct admission_attributes *at, struct json **slot, const char *text)
{
        static struct arena *read; /* for good */

        if (!read)
                read = arena_new(0);
        if (!*slot)
                json_parse(read, text, strlen(text), NULL, slot, NULL);
        return json_clone(at->request->arena, *slot);
}

bool about(const struct admission_attributes *at, const char *group, const char *resource)
{
        return strcmp(at->res->name, resource) == 0 && strcmp(at->res->group, group) == 0;
}

bool pod_create(const struct admission_attributes *at)
{
        return at->op == ADMISSION_CREATE && about(at, "", "pods") && !*at->subresource;
}

const char *admission_name(const struct admission_attributes *at)
{
        const char *name = *at->name ? at->name : get_string(at->object, "metadata.name");

        if (!*name)
                name = get_string(at->object, "metadata.generateName");
        return *name ? name : "Unknown";
}

const struct status *deny(struct admission_attributes *at, const char *fmt, ...)
{
        struct arena *a = at->request->arena;
        const char *text;
        va_list ap;

        va_start(ap, fmt);
        text = arena_vprintf(a, fmt, ap);
        va_end(ap);
        return status_forbidden(a, at->res, admission_name(at), "%s", text);
}

const char *get_string(const struct json *obj, const char *path)
{
        const char *s = json_path_string(obj, path);

        return s ? s : "";
}

static struct json *parse(struct arena *a, const struct entry *e)
{
        struct json *obj = NULL;

        return json_parse_written(a, e->json->data, e->json->len, &obj) < 0 ? NULL : obj;
}

struct json *admission_get(struct admission_attributes *at, const char *group, const char *version, const char *resource,
                           const char *namespace, const char *name)
{
        const struct resource *res = builtin_resource(group, version, resource);
        struct entry *e;

        if (!res || !admission_store || str_empty(name))
                return NULL;
        e = store_get(admission_store, registry_key(at->request->arena, res, namespace, name));
        return e ? parse(at->request->arena, e) : NULL;
}

const char *admission_text(struct admission_attributes *at, const char *group, const char *version, const char *resource,
                           const char *namespace, const char *name)
{
        const struct resource *res = builtin_resource(group, version, resource);
        struct entry *e;

        if (!res || !admission_store || str_empty(name))
                return NULL;
        e = store_get(admission_store, registry_key(at->request->arena, res, namespace, name));
        return e ? e->json->data : NULL;
}

bool admission_has(struct admission_attributes *at, const char *group, const char *version, const char *resource,
                   const char *namespace, const char *name, const char *text)
{
        const char *json = admission_text(at, group, version, resource, namespace, name);

        return json && strstr(json, text);
}

struct listing {
        const char *having;
        struct arena *arena;
        struct json *array;
};

static bool add_entry(struct entry *e, void *userdata)
{
        struct listing *l = userdata;
        struct json *obj = NULL;

        if (!l->having || memmem(e->json->data, e->json->len, l->having, strlen(l->having)))
                obj = parse(l->arena, e);
        if (obj)
                json_append(l->arena, l->array, obj);
        return true;
}

struct json *admission_list(struct admission_attributes *at, const char *group, const char *version, const char *resource,
                            const char *namespace)
{
        return admission_list_having(at, group, version, resource, namespace, NULL);
}

struct json *admission_list_having(struct admission_attributes *at, const char *group, const char *version,
                                   const char *resource, const char *namespace, const char *having)
{
        const struct resource *res = builtin_resource(group, version, resource);
        struct listing l = { having, at->request->arena, json_new_array(at->request->arena) };
        const char *prefix;

        if (!res || !admission_store || !store_has_any(admission_store, res))
                return l.array;
        prefix = arena_join(l.arena, "/registry/", res->storage_prefix, "/", namespace, *namespace ? "/" : "", NULL);
        store_scan(admission_store, prefix, NULL, add_entry, &l);
        return l.array;
}

void admission_catch_up(struct admission_attributes *at)
{
        if (admission_store)
                store_sync(admission_store, NULL);
}
