/* What reconcile asks for: building the list of writes, and asking the snapshot. All is copied into
 * the list's arena, because the stores may change while the writes are carried out. */
#include "controller.h"

#include <stdio.h>

/* --- snapshots --- */

const struct object *snapshot_key(const struct snapshot *s, unsigned resource, const char *key)
{
        return s->stores[resource] ? object_store_get(s->stores[resource], key) : NULL;
}

const struct object *snapshot_get(const struct snapshot *s, unsigned resource, const char *namespace, const char *name)
{
        char key[520];

        if (str_empty(namespace))
                return snapshot_key(s, resource, name ? name : "");
        snprintf(key, sizeof(key), "%s/%s", namespace, name ? name : "");
        return snapshot_key(s, resource, key);
}

static struct object *const *lookup(const struct snapshot *s, unsigned resource, size_t index, const char *value,
                                    size_t *ret_n)
{
        *ret_n = 0;
        return s->stores[resource] && value ? object_store_lookup(s->stores[resource], index, value, ret_n) : NULL;
}

struct object *const *snapshot_in_namespace(const struct snapshot *s, unsigned resource, const char *namespace,
                                            size_t *ret_n)
{
        return lookup(s, resource, STORE_BY_NAMESPACE, namespace, ret_n);
}

struct object *const *snapshot_owned(const struct snapshot *s, unsigned resource, const char *uid, size_t *ret_n)
{
        return lookup(s, resource, STORE_BY_OWNER, uid, ret_n);
}

struct object *const *snapshot_by_own(const struct snapshot *s, unsigned resource, const char *value, size_t *ret_n)
{
        return lookup(s, resource, STORE_BY_OWN, value, ret_n);
}

#define MEMORY_MAX 8192 /* then all clocks start anew */

int64_t snapshot_since(const struct snapshot *s, const char *what)
{
        int64_t *at = s->memory ? map_get(s->memory, what) : NULL;

        if (at || !s->memory)
                return at ? *at : s->now;
        if (s->memory->n >= MEMORY_MAX)
                snapshot_memory_deinit(s->memory);
        at = new0(int64_t);
        *at = s->now;
        map_put(s->memory, what, at);
        return *at;
}

void snapshot_over(const struct snapshot *s, const char *what)
{
        if (s->memory)
                free(map_del(s->memory, what));
}

void snapshot_memory_deinit(struct map *memory)
{
        struct map_entry *e;

        map_foreach(memory, e)
                free(e->value);
        map_clear(memory);
}

/* --- writes --- */

struct write *writes_add(struct writes *w, enum write_verb verb, unsigned resource, const char *namespace,
                         const char *name, const struct json *body)
{
        struct write *x;

        if (w->n == w->cap) {
                struct write *grown = arena_alloc(w->arena, (w->cap * 2 + 8) * sizeof(*grown));

                if (w->n)
                        memcpy(grown, w->items, w->n * sizeof(*grown));
                w->items = grown;
                w->cap = w->cap * 2 + 8;
        }
        x = &w->items[w->n++];
        *x = (struct write){ .verb = verb, .resource = resource };
        x->namespace = arena_strdup(w->arena, namespace);
        x->name = arena_strdup(w->arena, name);
        x->body = body ? json_clone(w->arena, body) : NULL;
        return x;
}

struct write *writes_insert(struct writes *w, size_t at, enum write_verb verb, unsigned resource, const char *namespace,
                            const char *name)
{
        struct write x = *writes_add(w, verb, resource, namespace, name, NULL);

        memmove(&w->items[at + 1], &w->items[at], (w->n - 1 - at) * sizeof(x));
        w->items[at] = x;
        return &w->items[at];
}

struct write *writes_create(struct writes *w, unsigned resource, const char *namespace, const struct json *body)
{
        return writes_add(w, WRITE_CREATE, resource, namespace, json_path_string(body, "metadata.name"), body);
}

struct write *writes_apply(struct writes *w, unsigned resource, const char *subresource, const char *manager,
                           const struct json *body)
{
        const struct json *meta = json_get(body, "metadata");
        struct write *x = writes_add(w, WRITE_APPLY, resource, json_get_string(meta, "namespace"), json_get_string(meta, "name"), body);

        x->subresource = subresource;
        x->manager = manager;
        return x;
}

struct write *writes_update(struct writes *w, unsigned resource, const char *subresource, const struct json *object)
{
        const struct json *meta = json_get(object, "metadata");
        struct write *x = writes_add(w, WRITE_UPDATE, resource, json_get_string(meta, "namespace"),
                                     json_get_string(meta, "name"), object);

        x->subresource = subresource;
        return x;
}

struct write *writes_patch(struct writes *w, enum write_verb verb, unsigned resource, const char *subresource,
                           const struct object *o, const struct json *patch)
{
        struct write *x = writes_add(w, verb, resource, o->namespace, o->name, patch);

        x->subresource = subresource;
        return x;
}

struct write *writes_delete(struct writes *w, unsigned resource, const struct object *o, int64_t grace,
                            const char *propagation)
{
        struct json *options = json_new_object(w->arena);
        struct write *x;

        json_set_string(w->arena, options, "kind", "DeleteOptions");
        json_set_string(w->arena, options, "apiVersion", "v1");
        if (grace >= 0)
                json_set_int(w->arena, options, "gracePeriodSeconds", grace);
        json_set_string(w->arena, json_ensure_object(w->arena, options, "preconditions"), "uid", o->uid);
        if (propagation)
                json_set_string(w->arena, options, "propagationPolicy", propagation);
        x = writes_add(w, WRITE_DELETE, resource, o->namespace, o->name, NULL);
        x->body = options;
        x->uid = arena_strdup(w->arena, o->uid);
        x->ignore_not_found = x->ignore_conflict = true;
        return x;
}

/* What an Event needs of the object it is about. */
static const struct json *reference(struct arena *a, const struct json *o)
{
        static const char *const copied[] = { "namespace", "name", "uid", "resourceVersion" };
        struct json *ref = json_new_object(a), *meta;

        json_set_string(a, ref, "kind", json_get_string(o, "kind"));
        json_set_string(a, ref, "apiVersion", json_get_string(o, "apiVersion"));
        meta = json_ensure_object(a, ref, "metadata");
        for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
                if (json_get_string(json_get(o, "metadata"), copied[i]))
                        json_set_string(a, meta, copied[i], json_get_string(json_get(o, "metadata"), copied[i]));
        return ref;
}

void write_event_set(struct writes *w, struct write_event *e, const struct json *about, const char *type,
                     const char *reason, const char *message)
{
        e->about = reference(w->arena, about);
        e->type = type;
        e->reason = reason;
        e->message = arena_strdup(w->arena, message);
}

void writes_event(struct writes *w, const struct json *about, const char *type, const char *reason, const char *fmt, ...)
{
        struct write *x = writes_add(w, WRITE_EVENT, 0, NULL, NULL, NULL);
        va_list ap;

        va_start(ap, fmt);
        write_event_set(w, &x->done, about, type, reason, "");
        x->done.message = arena_vprintf(w->arena, fmt, ap);
        va_end(ap);
}

void writes_event_once(struct writes *w, const struct json *about, const char *type, const char *reason, const char *message)
{
        struct write *x = writes_add(w, WRITE_EVENT, 0, NULL, NULL, NULL);

        write_event_set(w, &x->done, about, type, reason, message);
        x->once = true;
}

void writes_requeue(struct writes *w, int64_t after_ns)
{
        after_ns = MAX(after_ns, INT64_C(1));
        if (!w->requeue_after || after_ns < w->requeue_after)
                w->requeue_after = after_ns;
}

/* --- keys --- */

void keys_add(const struct keys *k, const char *key)
{
        k->add(k->ctx, key);
}

void keys_addf(const struct keys *k, const char *fmt, ...)
{
        char key[600];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(key, sizeof(key), fmt, ap);
        va_end(ap);
        k->add(k->ctx, key);
}

static void map_owner(const char *kind, const struct object *o, const struct keys *k)
{
        json_foreach_item(json_path(o->json, "metadata.ownerReferences"), ref) {
                if (!json_get_bool(ref, "controller", false) || !streq(json_get_string(ref, "kind"), kind))
                        continue;
                if (*o->namespace)
                        keys_addf(k, "%s/%s", o->namespace, json_get_string(ref, "name"));
                else
                        keys_add(k, json_get_string(ref, "name"));
        }
}

void controller_map(const struct controller_watch *watch, const struct snapshot *s, const struct object *old,
                    const struct object *new, const struct keys *k)
{
        if (watch->passive)
                return;
        if (watch->owner_kind) {
                if (old)
                        map_owner(watch->owner_kind, old, k);
                if (new)
                        map_owner(watch->owner_kind, new, k);
        }
        if (watch->map)
                watch->map(s, old, new, k);
        else if (!watch->owner_kind)
                keys_add(k, (new ? new : old)->key);
}

void controller_reconcile(const struct controller *controller, const struct snapshot *s, const char *key,
                          struct writes *w)
{
        controller->reconcile(s, key, w);
}
