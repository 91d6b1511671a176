/* Tables and small helpers of all controllers. */
#include "controllers.h"

#include <stdio.h>

const struct controller_resource controller_resources[R_COUNT] = {
#define X(id, g, v, r, k, n, i) [R_##id] = { .group = g, .version = v, .resource = r, .kind = k, .namespaced = n, .index = i },
        RESOURCES(X)
#undef X
};

void key_split(struct arena *a, const char *key, const char **ret_namespace, const char **ret_name)
{
        const char *slash = strchr(key, '/');

        *ret_namespace = slash ? arena_strndup(a, key, (size_t)(slash - key)) : "";
        *ret_name = arena_strdup(a, slash ? slash + 1 : key);
}

void set_count(struct arena *a, struct json *object, const char *key, int64_t n)
{
        if (n)
                json_set_int(a, object, key, n);
        else
                json_del(object, key);
}

void list_add(struct arena *a, struct object_list *l, const struct object *o)
{
        if (l->n == l->cap) {
                const struct object **grown = arena_alloc(a, (l->cap * 2 + 16) * sizeof(*grown));

                if (l->n)
                        memcpy(grown, l->items, l->n * sizeof(*grown));
                l->items = grown;
                l->cap = l->cap * 2 + 16;
        }
        l->items[l->n++] = o;
}

void list_sort(struct object_list *l, int (*cmp)(const void *, const void *))
{
        if (l->n > 1)
                qsort(l->items, l->n, sizeof(*l->items), cmp);
}

int compare_by_name(const void *x, const void *y)
{
        const struct object *const *a = x, *const *b = y;

        return strcmp((*a)->name, (*b)->name);
}

int compare_by_creation(const void *x, const void *y)
{
        const struct object *const *a = x, *const *b = y;
        int64_t ta = object_time((*a)->json, "metadata.creationTimestamp");
        int64_t tb = object_time((*b)->json, "metadata.creationTimestamp");

        return ta < tb ? -1 : ta > tb ? 1 : strcmp((*a)->name, (*b)->name);
}

void index_pod_node(const struct object *o, void (*add)(void *ctx, const char *value), void *ctx)
{
        const char *node = json_path_string(o->json, "spec.nodeName");

        add(ctx, node ? node : "");
}

void index_slice_service(const struct object *o, void (*add)(void *ctx, const char *value), void *ctx)
{
        const char *service = object_label(o->json, "kubernetes.io/service-name");
        _cleanup_free_ char *key = NULL;

        if (!service)
                return;
        key = xasprintf("%s/%s", o->namespace, service);
        add(ctx, key);
}

unsigned __int128 fnv128a(const char *text)
{
        unsigned __int128 h = ((unsigned __int128)UINT64_C(0x6c62272e07bb0142) << 64) | UINT64_C(0x62b821756295c58d);
        const unsigned __int128 prime = ((unsigned __int128)0x1000000 << 64) | 0x13b;

        for (; *text; text++)
                h = (h ^ (unsigned char)*text) * prime;
        return h;
}
