/* Decoding and encoding of metadata.managedFields, and the housekeeping on its entries. */
#include "managed-entries.h"

#include <stdlib.h>

#include "decode.h"

#define MAX_UPDATERS 10

static bool same_identity(const struct managed_entry *e, const char *manager, bool applied, const char *version,
                          const char *sub)
{
        return e->applied == applied && streq(e->manager, manager) && streq(e->sub, sub) &&
               (applied || streq(e->version, version));
}

struct managed_entry *managed_find(struct managed *m, const char *manager, bool applied, const char *version,
                                   const char *sub)
{
        for (size_t i = 0; i < m->n; i++)
                if (same_identity(&m->list[i], manager, applied, version, sub))
                        return &m->list[i];
        return NULL;
}

struct managed_entry *managed_add(struct managed *m, const struct managed_entry *e)
{
        if (m->n == m->cap) {
                struct managed_entry *old = m->list;

                m->cap = m->cap ? m->cap * 2 : 8;
                m->list = arena_alloc(m->a, m->cap * sizeof(*m->list));
                if (m->n)
                        memcpy(m->list, old, m->n * sizeof(*old));
        }
        m->list[m->n] = *e;
        return &m->list[m->n++];
}

void managed_remove(struct managed *m, const struct managed_entry *e)
{
        size_t i = (size_t)(e - m->list);

        m->n--;
        memmove(&m->list[i], &m->list[i + 1], (m->n - i) * sizeof(*m->list));
}

void managed_drop_empty(struct managed *m)
{
        for (size_t i = m->n; i-- > 0;)
                if (field_set_empty(m->list[i].set))
                        managed_remove(m, &m->list[i]);
}

static bool decode_entry(struct arena *a, const struct json *j, struct managed_entry *e)
{
        const char *operation = json_get_string(j, "operation");

        *e = (struct managed_entry){
                .manager = json_get_string(j, "manager") ?: "",
                .version = json_get_string(j, "apiVersion"),
                .sub = json_get_string(j, "subresource") ?: "",
                .applied = streq(operation, "Apply"),
                .time = json_get_string(j, "time"),
                .json = json_get(j, "fieldsV1"),
        };
        if ((!e->applied && !streq(operation, "Update")) || str_empty(e->version) ||
            !streq(json_get_string(j, "fieldsType"), "FieldsV1") || (e->json && !json_is_object(e->json) && !json_is_null(e->json)))
                return false;
        e->set = field_set_parse(a, e->json);
        return e->set;
}

bool managed_decode(struct arena *a, const struct json *fields, struct managed *ret)
{
        *ret = (struct managed){ .a = a };
        json_foreach_item(fields, j) {
                struct managed_entry e, *there;

                if (!decode_entry(a, j, &e)) {
                        ret->n = 0;
                        return false;
                }
                there = managed_find(ret, e.manager, e.applied, e.version, e.sub);
                if (there)
                        *there = e;
                else
                        managed_add(ret, &e);
        }
        return true;
}

/* By operation, time, manager, version, subresource. Times are all written alike, so text compares. */
static int by_order(const void *x, const void *y)
{
        const struct managed_entry *ex = x, *ey = y;
        int r;

        if (ex->applied != ey->applied)
                return ex->applied ? -1 : 1;
        r = strcmp(ex->time ?: "", ey->time ?: "");
        r = r ? r : strcmp(ex->manager, ey->manager);
        r = r ? r : strcmp(ex->version, ey->version);
        return r ? r : strcmp(ex->sub, ey->sub);
}

struct json *managed_encode(const struct managed *m)
{
        struct json *out;

        if (m->n == 0)
                return NULL;
        qsort(m->list, m->n, sizeof(*m->list), by_order);
        out = json_new_array(m->a);
        for (size_t i = 0; i < m->n; i++) {
                const struct managed_entry *e = &m->list[i];
                struct json *j = json_new_object(m->a);

                if (*e->manager)
                        json_set_string(m->a, j, "manager", e->manager);
                json_set_string(m->a, j, "operation", e->applied ? "Apply" : "Update");
                json_set_string(m->a, j, "apiVersion", e->version);
                if (e->time)
                        json_set_string(m->a, j, "time", e->time);
                json_set_string(m->a, j, "fieldsType", "FieldsV1");
                json_set(m->a, j, "fieldsV1", e->json ? (struct json *)e->json : field_set_json(m->a, e->set));
                if (*e->sub)
                        json_set_string(m->a, j, "subresource", e->sub);
                json_append(m->a, out, j);
        }
        return out;
}

static int by_age(const void *x, const void *y)
{
        const struct managed_entry *ex = x, *ey = y;
        int r = strcmp(ex->time ?: "", ey->time ?: "");

        r = r ? r : strcmp(ex->manager, ey->manager);
        r = r ? r : strcmp(ex->version, ey->version);
        return r ? r : strcmp(ex->sub, ey->sub);
}

/* Puts E's fields into the bucket of its version; FIRST is the oldest of that version, which becomes the bucket. */
static void into_bucket(struct managed *m, const char *first_manager, const char *first_sub, struct managed_entry e)
{
        struct managed_entry *bucket = managed_find(m, "ancient-changes", false, e.version, "");

        managed_remove(m, managed_find(m, e.manager, false, e.version, e.sub));
        if (!bucket || streq(e.manager, "ancient-changes")) {
                bucket = managed_find(m, first_manager, false, e.version, first_sub);
                bucket->manager = "ancient-changes";
                bucket->sub = "";
        } else {
                bucket = managed_find(m, "ancient-changes", false, e.version, "");
        }
        bucket->set = field_set_union(m->a, bucket->set, e.set);
        bucket->json = NULL;
        bucket->time = e.time;
}

void managed_cap(struct managed *m)
{
        struct managed_entry *old = arena_alloc(m->a, (m->n + 1) * sizeof(*old));
        size_t n = 0, left;

        for (size_t i = 0; i < m->n; i++)
                if (!m->list[i].applied)
                        old[n++] = m->list[i];
        left = n;
        if (n <= MAX_UPDATERS)
                return;
        qsort(old, n, sizeof(*old), by_age);
        for (size_t i = 0; i < n && left > MAX_UPDATERS; i++) {
                size_t first = 0;

                while (!streq(old[first].version, old[i].version))
                        first++;
                if (first == i)
                        continue;
                into_bucket(m, old[first].manager, old[first].sub, old[i]);
                left--;
        }
}

const char *resource_group_version(struct arena *a, const struct resource *res)
{
        return str_empty(res->group) ? res->version : arena_printf(a, "%s/%s", res->group, res->version);
}

static void drop_all(const char *const *paths, struct field_set *set)
{
        for (; paths && *paths; paths++)
                field_set_drop(set, *paths, true);
}

void managed_drop_reset(const struct resource *res, const char *sub, struct field_set *set)
{
        static const char *const custom_main[] = { "status", NULL };
        static const char *const custom_status[] = { "spec", "metadata", NULL };
        static const char *const csr_status[] = { "spec", "status.conditions", NULL };
        static const char *const csr_approval[] = { "spec", "status.certificate", NULL };
        static const char *const namespace_main[] = { "status", NULL }; /* finalizers are reset, but owned */
        bool csr = streq(res->name, "certificatesigningrequests");

        if (res->crd && res->status_subresource)
                drop_all(streq(sub, "status") ? custom_status : custom_main, set);
        else if (csr && !str_empty(sub))
                drop_all(streq(sub, "approval") ? csr_approval : csr_status, set);
        else if (streq(sub, "status"))
                drop_all(res->reset_on_status, set);
        else if (!streq(sub, "ephemeralcontainers") && !streq(sub, "resize")) /* these two endpoints never pass on what they reset */
                drop_all(streq(res->name, "namespaces") ? namespace_main : res->reset_on_update, set);
}

void managed_strip(struct field_set *set)
{
        static const char *const top[] = { "apiVersion", "kind", "metadata", NULL };
        static const char *const metadata[] = { "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName",
                                                "generation", "managedFields", "resourceVersion", NULL };
        const struct field_node *node = field_set_find(set, "f:metadata", strlen("f:metadata"));

        field_set_drop_names(set, top);
        if (node)
                field_set_drop_names((struct field_set *)&node->below, metadata);
}

struct json *schema_zero(struct arena *a, const struct schema *s)
{
        struct json *j = json_new_object(a);

        for (unsigned i = 0; i < s->n_fields; i++) {
                const struct schema_field *f = &s->fields[i];
                struct json *v = NULL;

                if (f->emit_empty && f->presence)
                        v = json_new_null(a);
                else if (f->type->type == SCHEMA_STRUCT && (f->emit_empty || streq(f->empty_as, "{}")))
                        v = schema_zero(a, f->type);
                else if (f->emit_empty)
                        v = schema_zero_value(a, f->type);
                else if (f->empty_as)
                        json_parse(a, f->empty_as, strlen(f->empty_as), NULL, &v, NULL);
                if (v)
                        json_set(a, j, f->name, v);
        }
        return j;
}
