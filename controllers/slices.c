/* EndpointSlices of a Service: what there should be is written over what there is.
 *
 * Slices have made-up names, so which is which is told by their family and ports: a slice with the same ones is changed,
 * what nobody wants any more goes, what is new is made. Watchers so see a change where there is one.
 */
#include "controllers.h"

#define SERVICE_NAME "kubernetes.io/service-name"
#define MANAGER "endpointslice.kubernetes.io/managed-by"

/* The server keeps an empty list as none. */
static bool same_list(const struct json *x, const struct json *y)
{
        return (!json_len(x) && !json_len(y)) || json_equal(x, y);
}

static bool same_slice(const struct json *x, const struct json *y)
{
        return same_list(json_get(x, "endpoints"), json_get(y, "endpoints")) && same_list(json_get(x, "ports"), json_get(y, "ports")) &&
               json_equal(json_path(x, "metadata.labels"), json_path(y, "metadata.labels")) &&
               same_list(json_path(x, "metadata.annotations"), json_path(y, "metadata.annotations"));
}

struct sorted_port {
        struct json *port;
        unsigned __int128 hash;
};

static int compare_ports(const void *x, const void *y)
{
        const struct sorted_port *a = x, *b = y;

        return a->hash < b->hash ? -1 : a->hash > b->hash;
}

/* As upstream's, which hashes the struct as Go prints it. */
static struct json *sort_ports(struct arena *a, const struct json *ports)
{
        struct sorted_port *sorted = arena_calloc(a, (json_len(ports) + 1) * sizeof(*sorted));
        struct json *out = json_new_array(a);
        size_t n = 0;

        json_foreach_item(ports, p) {
                const char *name = json_get_string(p, "name"), *app = json_get_string(p, "appProtocol");

                sorted[n].hash = fnv128a(arena_printf(a, "(v1.EndpointPort){Name:(*string)%s Protocol:(*v1.Protocol)%s Port:(*int32)%lld "
                                                         "AppProtocol:(*string)%s}", name ? name : "<nil>",
                                                      json_get_string(p, "protocol"), (long long)json_get_int(p, "port", 0),
                                                      app ? app : "<nil>"));
                sorted[n++].port = p;
        }
        qsort(sorted, n, sizeof(*sorted), compare_ports);
        for (size_t i = 0; i < n; i++)
                json_append(a, out, json_clone(a, sorted[i].port));
        return out;
}

static bool is_of(const struct json *endpoint, const struct json *other)
{
        const char *uid = json_path_string(endpoint, "targetRef.uid");

        return uid ? streq(json_path_string(other, "targetRef.uid"), uid) :
                     json_equal(json_get(endpoint, "addresses"), json_get(other, "addresses"));
}

/* Those that the slice has already stay where they are. */
static struct json *keep_order(struct arena *a, const struct json *have, const struct json *wanted)
{
        struct json *out = json_new_array(a);

        json_foreach_item(have, old)
                json_foreach_item(wanted, new)
                        if (is_of(new, old)) {
                                json_append(a, out, json_clone(a, new));
                                break;
                        }
        json_foreach_item(wanted, new) {
                bool known = false;

                json_foreach_item(have, old)
                        known |= is_of(new, old);
                if (!known)
                        json_append(a, out, json_clone(a, new));
        }
        return json_len(out) == json_len(wanted) ? out : json_clone(a, wanted); /* addresses twice: as they come */
}

static void write_slice(struct writes *w, const struct slice_owner *owner, const struct object *have, const struct json *wanted)
{
        struct arena *a = w->arena;
        struct json *o = have ? object_editable(a, have->json) : json_new_object(a), *meta, *labels;

        json_set_string(a, o, "apiVersion", "discovery.k8s.io/v1");
        json_set_string(a, o, "kind", "EndpointSlice");
        meta = json_ensure_object(a, o, "metadata");
        if (!have) {
                json_set(a, meta, "generateName", json_new_stringf(a, "%s-", owner->object->name));
                json_set_string(a, meta, "namespace", owner->object->namespace);
                json_append(a, json_ensure_array(a, meta, "ownerReferences"),
                            object_make_controller_ref(a, owner->api_version, owner->kind, owner->object->json));
        }
        owner->decorate(owner, a, o, have ? have->json : NULL);
        labels = json_ensure_object(a, meta, "labels");
        json_set_string(a, labels, MANAGER, owner->managed_by);
        json_set_string(a, labels, SERVICE_NAME, owner->object->name);
        json_foreach_member(wanted, m)
                json_set(a, o, m->key, m->value);
        if (have)
                json_set(a, o, "endpoints", keep_order(a, json_get(have->json, "endpoints"), json_get(wanted, "endpoints")));
        if (have && same_slice(o, have->json))
                return;
        if (owner->touch)
                owner->touch(owner, a, o, have ? have->json : NULL);
        if (have)
                writes_update(w, R_SLICES, NULL, o);
        else
                writes_create(w, R_SLICES, owner->object->namespace, o);
}

static void find_slices(const struct snapshot *s, struct arena *a, const char *key, const char *managed_by, struct object_list *ret)
{
        struct object *const *slices;
        size_t n;

        slices = snapshot_by_own(s, R_SLICES, key, &n);
        for (size_t i = 0; i < n; i++)
                if (streq(object_label(slices[i]->json, MANAGER), managed_by) && !object_is_deleting(slices[i]->json))
                        list_add(a, ret, slices[i]);
        list_sort(ret, compare_by_creation);
}

/* The one that becomes WANTED, out of the list: with its ports, else any of its family. SAME: only with its ports. */
static const struct object *take_slice(struct object_list *have, const struct json *wanted, bool same)
{
        for (size_t i = 0; i < have->n; i++) {
                const struct object *o = have->items[i];

                if (!o || !streq(json_get_string(o->json, "addressType"), json_get_string(wanted, "addressType")) ||
                    (same && !same_list(json_get(o->json, "ports"), json_get(wanted, "ports"))))
                        continue;
                have->items[i] = NULL;
                return o;
        }
        return NULL;
}

void slices_write(const struct snapshot *s, struct writes *w, const struct slice_owner *owner, const char *key,
                  struct json *wanted)
{
        const struct object **becomes = arena_calloc(w->arena, (json_len(wanted) + 1) * sizeof(*becomes));
        struct object_list have = { 0 };

        find_slices(s, w->arena, key, owner->managed_by, &have);
        json_foreach_item(wanted, slice)
                json_set(w->arena, slice, "ports", sort_ports(w->arena, json_get(slice, "ports")));
        for (int same = 1; same >= 0; same--)
                for (size_t i = 0; i < json_len(wanted); i++)
                        if (!becomes[i])
                                becomes[i] = take_slice(&have, json_at(wanted, i), same);
        for (size_t i = 0; i < have.n; i++)
                if (have.items[i])
                        writes_delete(w, R_SLICES, have.items[i], -1, NULL);
        for (size_t i = 0; i < json_len(wanted); i++)
                write_slice(w, owner, becomes[i], json_at(wanted, i));
}

void slices_map(const struct object *old, const struct object *new, const char *managed_by, const struct keys *k)
{
        const struct object *o = new ? new : old;
        const char *service = object_label(o->json, SERVICE_NAME);

        if (service && streq(object_label(o->json, MANAGER), managed_by))
                keys_addf(k, "%s/%s", o->namespace, service);
}
