/* managedFields of ordinary writes.
 *
 * The write is compared with what was stored. Every manager loses what the write changed or removed;
 * the writer's own Update entry gains what it changed or added. Apply entries of the same name lose
 * too: they are another identity.
 */
#include "managed-fields.h"

#include "managed-scale.h"

#include "../../lib/base/time.h"

#include <stdlib.h>

/* [] and [{}] are the two ways to ask for a fresh start. */
static bool is_reset(const struct json *fields)
{
        return json_is_array(fields) && (fields->len == 0 || (fields->len == 1 && json_len(fields->items[0]) == 0 &&
                                                              json_is_object(fields->items[0])));
}

static void decode_live_or_new(struct arena *a, const struct json *live, const struct json *obj, const char *sub,
                               struct managed *ret)
{
        const struct json *theirs = json_path(obj, "metadata.managedFields");

        *ret = (struct managed){ .a = a };
        if (str_empty(sub)) {
                if (is_reset(theirs))
                        return;
                if (managed_decode(a, theirs, ret) && ret->n)
                        return;
        }
        managed_decode(a, json_path(live, "metadata.managedFields"), ret);
}

static bool overlap(const struct field_set *x, const struct field_set *y)
{
        for (uint32_t i = 0; i < y->n; i++) {
                const struct field_node *ny = &y->nodes[i], *nx = field_set_find(x, ny->name, ny->len);

                if (nx && ((nx->member && ny->member) || overlap(&nx->below, &ny->below)))
                        return true;
        }
        return false;
}

static void take_away(struct managed *m, struct managed_entry *e, const struct field_set *set)
{
        if (!overlap(e->set, set))
                return;
        e->set = field_set_difference(m->a, e->set, set);
        e->json = NULL;
}

static void store(struct arena *a, struct json *obj, const struct managed *m)
{
        struct json *meta = json_ensure_object(a, obj, "metadata"), *fields = managed_encode(m);

        if (fields)
                json_set(a, meta, "managedFields", fields);
        else
                json_del(meta, "managedFields");
}

void managed_fields_update(struct arena *a, const struct resource *res, const struct json *live,
                           struct json *obj, const char *manager, const char *sub, int64_t now)
{
        struct typed t = { .a = a, .schema = res->schema, .deduce = res->crd };
        const char *version = resource_group_version(a, res);
        struct managed_views views;
        struct field_set *changed;
        struct comparison cmp;
        struct managed m;
        char buf[TIME_BUF];

        if (live && streq(sub, "scale")) {
                managed_scale_update(a, res, live, obj, str_empty(manager) ? "unknown" : manager);
                return;
        }
        decode_live_or_new(a, live, obj, sub, &m);
        if (live && m.n == 0) { /* nobody tracks this one */
                store(a, obj, &m);
                return;
        }
        if (managed_settle(&m, res, version)) { /* nothing can be said: all stays as it was */
                managed_decode(a, json_path(live, "metadata.managedFields"), &m);
                store(a, obj, &m);
                return;
        }
        if (!live)
                live = schema_zero(a, res->schema);
        typed_compare(&t, live, obj, &cmp);
        managed_drop_reset(res, sub, cmp.added);
        managed_drop_reset(res, sub, cmp.modified);
        managed_drop_reset(res, sub, cmp.removed);
        views = (struct managed_views){ .a = a, .res = res, .sub = sub, .live = live, .obj = obj };
        changed = field_set_union(a, cmp.modified, cmp.added);
        for (size_t i = 0; i < m.n; i++) {
                struct comparison other;

                if (streq(m.list[i].version, version)) {
                        take_away(&m, &m.list[i], changed);
                        take_away(&m, &m.list[i], cmp.removed);
                        continue;
                }
                managed_compare(&views, m.list[i].version, &other);
                take_away(&m, &m.list[i], field_set_union(a, other.modified, other.added));
                take_away(&m, &m.list[i], other.removed);
        }
        free(views.list);
        managed_drop_empty(&m);
        managed_strip(changed);
        if (!field_set_empty(changed)) {
                struct managed_entry fresh = {
                        .manager = str_empty(manager) ? "unknown" : manager,
                        .version = version,
                        .sub = sub ? sub : "",
                        .set = changed,
                };
                struct managed_entry *mine = managed_find(&m, fresh.manager, false, version, fresh.sub);

                if (!mine)
                        mine = managed_add(&m, &fresh);
                else
                        mine->set = field_set_union(a, mine->set, changed);
                mine->json = NULL;
                mine->time = arena_strdup(a, time_format(now, buf));
        }
        managed_cap(&m);
        store(a, obj, &m);
}

/* Entries equal in all but their times. */
static bool same_entries(const struct json *x, const struct json *y)
{
        if (json_len(x) != json_len(y))
                return false;
        json_foreach_item(x, e) {
                const struct json *other = json_at(y, e_i);

                if (json_len(e) - !!json_get(e, "time") != json_len(other) - !!json_get(other, "time"))
                        return false;
                json_foreach_member(e, m)
                        if (!streq(m->key, "time") && !json_equal(m->value, json_get(other, m->key)))
                                return false;
        }
        return true;
}

/* All members equal but those named, which are looked at elsewhere. */
static bool same_but(const struct json *x, const struct json *y, const char *skip1, const char *skip2)
{
        size_t nx = json_len(x), ny = json_len(y);

        nx -= !!json_get(x, skip1) + !!json_get(x, skip2);
        ny -= !!json_get(y, skip1) + !!json_get(y, skip2);
        if (nx != ny)
                return false;
        json_foreach_member(x, m) {
                if (streq(m->key, skip1) || streq(m->key, skip2))
                        continue;
                if (!json_equal(m->value, json_getn(y, m->key, m->key_len)))
                        return false;
        }
        return true;
}

bool managed_fields_same(struct arena *a, const struct json *live, struct json *obj)
{
        const struct json *lm = json_get(live, "metadata");
        struct json *om = json_get(obj, "metadata"), *fields;

        /* Entries come sorted by time, so one that moved by its time alone is a difference; as upstream. */
        if (!same_entries(json_get(lm, "managedFields"), json_get(om, "managedFields")) ||
            !same_but(lm, om, "managedFields", "resourceVersion") || !same_but(live, obj, "metadata", "status") ||
            !json_equal(json_get(live, "status"), json_get(obj, "status")))
                return false;
        fields = json_get(lm, "managedFields");
        if (fields)
                json_set(a, om, "managedFields", fields);
        return true;
}

void managed_fields_validate(const struct json *managed, const char *path, struct field_errors *errs)
{
        json_foreach_item(managed, e) {
                const char *operation = json_get_string(e, "operation") ?: "", *type = json_get_string(e, "fieldsType");
                const char *manager = json_get_string(e, "manager") ?: "", *sub = json_get_string(e, "subresource") ?: "";

                if (!streq(operation, "Apply") && !streq(operation, "Update"))
                        field_error_add(errs, FIELD_INVALID, field_path(errs->arena, "%s[%zu].operation", path, e_i),
                                        json_get(e, "operation") ?: json_new_string(errs->arena, ""), "must be `Apply` or `Update`");
                if (!str_empty(type) && !streq(type, "FieldsV1"))
                        field_error_add(errs, FIELD_INVALID, field_path(errs->arena, "%s[%zu].fieldsType", path, e_i),
                                        json_get(e, "fieldsType"), "must be `FieldsV1`");
                if (strlen(manager) > 128)
                        field_error_add(errs, FIELD_TOO_LONG, field_path(errs->arena, "%s[%zu].manager", path, e_i), NULL,
                                        "may not be more than 128 bytes");
                if (strlen(sub) > 256)
                        field_error_add(errs, FIELD_TOO_LONG, field_path(errs->arena, "%s[%zu].subresource", path, e_i), NULL,
                                        "may not be more than 256 bytes");
        }
}
