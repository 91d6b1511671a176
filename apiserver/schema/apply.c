/* Server-side apply: what a manager applies is what it owns.
 *
 *      merged  = live with the configuration laid over it
 *      pruned  = merged without what the manager applied last time, no longer does, and nobody else owns
 *      changed = live compared with pruned: others who own something of it are in conflict,
 *                or lose it when forced
 *
 * Sets of entries written at another version are taken as they are: custom resources do not change
 * shape between versions, and the built-in kinds with several are few.
 */
#include "apply.h"

#include "managed-entries.h"
#include "typed.h"

#include "../../lib/base/time.h"

#include <stdlib.h>

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

struct apply {
        struct arena *a;
        const struct resource *res;
        const char *manager, *sub, *version, *now;
        struct typed t;
        const struct json *live, *config;
        struct managed managed;
        struct json *merged;
};

/* --- conflicts --- */

struct conflict {
        const struct managed_entry *entry;
        const char *path;
        size_t nth;
};

struct conflicts {
        struct arena *a;
        const struct managed_entry *entry; /* whose fields are being walked */
        struct conflict *list;
        size_t n, cap;
};

static void add_conflict(const char *path, void *userdata)
{
        struct conflicts *c = userdata;

        array_reserve(c->list, c->cap, c->n + 1);
        c->list[c->n] = (struct conflict){ c->entry, arena_strdup(c->a, path), c->n };
        c->n++;
}

static const char *print_manager(struct arena *a, const struct managed_entry *e)
{
        const char *sub = *e->sub ? arena_printf(a, " with subresource \"%s\"", e->sub) : "";

        return arena_printf(a, "\"%s\"%s%s%s", e->manager, sub, e->applied ? "" : " using ",
                            e->applied ? "" : e->version);
}

/* By the text of the manager, each one's paths in their order. */
static int by_manager(const void *x, const void *y)
{
        const struct conflict *cx = x, *cy = y;
        int r = strcmp(cx->entry->manager, cy->entry->manager);

        r = r ? r : (cx->entry > cy->entry) - (cx->entry < cy->entry);
        return r ? r : (cx->nth > cy->nth) - (cx->nth < cy->nth);
}

static const struct status *conflict_status(struct arena *a, struct conflicts *c)
{
        struct json *details = json_new_object(a), *causes = json_new_array(a);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        qsort(c->list, c->n, sizeof(*c->list), by_manager);
        json_set(a, details, "causes", causes);
        for (size_t i = 0; i < c->n; i++) {
                const char *who = print_manager(a, c->list[i].entry);
                struct json *cause = json_new_object(a);

                json_set_string(a, cause, "reason", "FieldManagerConflict");
                json_set_string(a, cause, "message", arena_printf(a, "conflict with %s", who));
                json_set_string(a, cause, "field", c->list[i].path);
                json_append(a, causes, cause);
                if (c->n == 1)
                        strbuf_printf(&b, "conflict with %s: %s", who, c->list[i].path);
                else if (i == 0 || c->list[i].entry != c->list[i - 1].entry)
                        strbuf_printf(&b, "%sconflicts with %s:", i ? "\n" : "", who);
                if (c->n > 1)
                        strbuf_printf(&b, "\n- %s", c->list[i].path);
        }
        return status_make(a, 409, "Conflict", details, "Apply failed with %zu conflict%s: %s", c->n,
                           c->n == 1 ? "" : "s", strbuf_str(&b));
}

/* --- pruning --- */

static struct json *prune(struct apply *ap, struct json *merged, const struct field_set *last,
                          const struct field_set *set)
{
        struct typed *t = &ap->t;
        struct arena *a = ap->a;
        const struct field_set *owned = set, *in_merged, *in_pruned, *gone;
        struct json *pruned;

        last = typed_named_members(t, last);
        pruned = typed_remove(t, merged, last);
        /* Back comes what somebody owns, with what it stands in ... */
        for (size_t i = 0; i < ap->managed.n; i++)
                owned = field_set_union(a, owned, ap->managed.list[i].set);
        owned = typed_named_members(t, owned);
        in_merged = typed_named_members(t, typed_field_set(t, merged));
        in_pruned = typed_named_members(t, typed_field_set(t, pruned));
        gone = field_set_difference(a, in_merged, field_set_union(a, in_pruned, owned));
        pruned = typed_remove(t, merged, gone);
        /* ... and what went only because of that, but was never applied. */
        in_pruned = typed_named_members(t, typed_field_set(t, pruned));
        gone = field_set_intersection(a, field_set_difference(a, in_merged, in_pruned), last);
        return typed_remove(t, merged, gone);
}

/* --- the parts of an apply --- */

static const struct status *check_type(struct apply *ap, const char *version, const char *kind)
{
        const char *v = json_get_string(ap->config, "apiVersion") ?: "", *k = json_get_string(ap->config, "kind") ?: "";
        const char *fields;

        if (!streq(v, version) || !streq(k, kind))
                return status_bad_request(ap->a, "invalid object type: %s%s, Kind=%s", strchr(v, '/') ? "" : "/", v, k);
        if (json_path(ap->config, "metadata.managedFields") &&
            !json_is_null(json_path(ap->config, "metadata.managedFields")))
                return status_bad_request(ap->a, "metadata.managedFields must be nil");
        fields = typed_validate(&ap->t, ap->config);
        if (fields)
                return status_make(ap->a, 500, "", NULL,
                                   "failed to create typed patch object (%s/%s; %s%s, Kind=%s): %s",
                                   json_path_string(ap->config, "metadata.namespace") ?: "",
                                   json_path_string(ap->config, "metadata.name") ?: "", strchr(v, '/') ? "" : "/", v,
                                   k, fields);
        return NULL;
}

/* Nobody is on record: all that is there belongs to whoever came before. */
static void before_first_apply(struct apply *ap)
{
        struct managed_entry e = {
                .manager = "before-first-apply", .version = ap->version, .sub = ap->sub, .time = ap->now,
        };
        struct field_set *changed;
        struct comparison cmp;

        typed_compare(&ap->t, schema_zero(ap->a, ap->res->schema), ap->live, &cmp);
        changed = field_set_union(ap->a, cmp.modified, cmp.added);
        managed_drop_reset(ap->res, ap->sub, changed);
        managed_strip(changed);
        e.set = changed;
        if (!field_set_empty(changed))
                managed_add(&ap->managed, &e);
}

/* Everybody but the manager loses what is about to change, unless that is a conflict. */
static const struct status *reconcile(struct apply *ap, const struct json *live, bool force)
{
        struct conflicts c = { .a = ap->a };
        const struct status *st = NULL;
        const struct field_set *changed;
        struct comparison cmp;

        typed_compare(&ap->t, live, ap->merged, &cmp);
        managed_drop_reset(ap->res, ap->sub, cmp.added);
        managed_drop_reset(ap->res, ap->sub, cmp.modified);
        managed_drop_reset(ap->res, ap->sub, cmp.removed);
        changed = field_set_union(ap->a, cmp.modified, cmp.added);
        for (size_t i = 0; i < ap->managed.n && !force; i++) {
                c.entry = &ap->managed.list[i];
                field_set_walk(ap->a, field_set_intersection(ap->a, c.entry->set, changed), add_conflict, &c);
        }
        if (c.n)
                st = conflict_status(ap->a, &c);
        free(c.list);
        for (size_t i = 0; i < ap->managed.n && !st; i++) {
                struct managed_entry *e = &ap->managed.list[i];
                struct field_set *left = field_set_difference(ap->a, e->set, changed);

                left = field_set_difference(ap->a, left, cmp.removed);
                if (!field_set_equal(left, e->set))
                        e->json = NULL;
                e->set = left;
        }
        return st;
}

static const struct status *carry_out(struct apply *ap, bool force, struct json **ret)
{
        const struct json *live = ap->live ? ap->live : schema_zero(ap->a, ap->res->schema);
        struct managed_entry *mine, last = { 0 };
        const struct status *st;
        struct field_set *set;
        bool same;

        ap->merged = typed_merge(&ap->t, live, ap->config);
        set = typed_field_set(&ap->t, ap->config);
        managed_drop_reset(ap->res, ap->sub, set);
        mine = managed_find(&ap->managed, ap->manager, true, NULL, ap->sub);
        if (mine) {
                last = *mine;
                managed_remove(&ap->managed, mine);
                if (!field_set_empty(last.set))
                        ap->merged = prune(ap, ap->merged, last.set, set);
        }
        st = reconcile(ap, live, force);
        if (st)
                return st;
        same = json_equal(live, ap->merged);
        managed_drop_empty(&ap->managed);
        managed_strip(set);
        if (!field_set_empty(set)) {
                struct managed_entry fresh = {
                        .manager = ap->manager, .version = ap->version, .sub = ap->sub, .applied = true,
                        .set = set, .time = same ? last.time : streq(ap->sub, "scale") ? NULL : ap->now,
                };
                managed_add(&ap->managed, &fresh);
        }
        *ret = ap->merged;
        return NULL;
}

/* MERGED with its entries, in containers of its own: what it shares with LIVE stays as it is. */
static struct json *with_managed(struct apply *ap, const struct json *merged)
{
        struct json *out = json_new_object(ap->a), *meta = json_new_object(ap->a), *fields;

        json_foreach_member(merged, m)
                json_setn(ap->a, out, m->key, m->key_len, m->value);
        json_foreach_member(json_get(merged, "metadata"), m)
                json_setn(ap->a, meta, m->key, m->key_len, m->value);
        json_set(ap->a, out, "metadata", meta);
        fields = managed_encode(&ap->managed);
        if (fields)
                json_set(ap->a, meta, "managedFields", fields);
        else
                json_del(meta, "managedFields");
        json_set_string(ap->a, out, "apiVersion", ap->version);
        json_set_string(ap->a, out, "kind", ap->res->kind);
        return out;
}

/* --- kubectl's annotation --- */

static int by_key(const void *x, const void *y)
{
        return strcmp(((const struct json_member *)x)->key, ((const struct json_member *)y)->key);
}

/* A copy with members sorted, as Go writes maps. */
static struct json *sorted(struct arena *a, const struct json *j)
{
        struct json *out;

        if (!json_is_object(j) && !json_is_array(j))
                return (struct json *)j;
        out = json_is_array(j) ? json_new_array(a) : json_new_object(a);
        json_foreach_item(j, it)
                json_append(a, out, sorted(a, it));
        if (json_is_object(j) && j->len) {
                struct json_member *members = arena_memdup(a, j->members, j->len * sizeof(*members));

                qsort(members, j->len, sizeof(*members), by_key);
                for (size_t i = 0; i < j->len; i++)
                        json_setn(a, out, members[i].key, members[i].key_len, sorted(a, members[i].value));
        }
        return out;
}

static const char *last_applied(const struct json *obj)
{
        return json_get_string(json_path(obj, "metadata.annotations"), LAST_APPLIED);
}

/* kubectl applied on the server what it used to apply itself: its annotation follows. */
static void follow_last_applied(struct apply *ap, struct json *obj)
{
        struct json *config = json_clone(ap->a, ap->config), *annotations, *copy = json_new_object(ap->a);
        const char *text;

        json_del(json_path(config, "metadata.annotations"), LAST_APPLIED);
        text = arena_printf(ap->a, "%s\n", json_print(ap->a, sorted(ap->a, config)));
        annotations = json_path(obj, "metadata.annotations");
        json_foreach_member(annotations, m)
                json_setn(ap->a, copy, m->key, m->key_len, m->value);
        json_set_string(ap->a, copy, LAST_APPLIED, text);
        json_set(ap->a, json_get(obj, "metadata"), "annotations", copy);
}

/* Conflicts that kubectl has with itself from its time as a client-side applier are none: all fields
 * in conflict are in its annotation, with the value that is live. */
static bool own_past(struct apply *ap, const struct managed *managed)
{
        const char *text = last_applied(ap->live);
        const struct field_set *known, *changed;
        struct comparison against, cmp;
        struct json *then = NULL;

        if (!text || json_parse(ap->a, text, strlen(text), NULL, &then, NULL) != 0)
                return false;
        typed_compare(&ap->t, ap->live, typed_merge(&ap->t, ap->live, then), &against);
        known = field_set_difference(ap->a, typed_field_set(&ap->t, then), against.modified);
        typed_compare(&ap->t, ap->live, ap->merged, &cmp);
        changed = field_set_union(ap->a, cmp.modified, cmp.added);
        for (size_t i = 0; i < managed->n; i++) {
                struct field_set *mine = field_set_intersection(ap->a, managed->list[i].set, changed);

                if (!field_set_empty(field_set_difference(ap->a, mine, known)))
                        return false;
        }
        return true;
}

/* --- scale: a Scale is applied to its parent's replicas --- */

static const struct json *parent_config(struct apply *ap)
{
        struct json *out = json_new_object(ap->a);
        const struct json *replicas = json_path(ap->config, "spec.replicas");

        if (replicas)
                json_set(ap->a, json_ensure_object(ap->a, out, "spec"), "replicas", (struct json *)replicas);
        return out;
}

static const struct status *prepare(struct apply *ap)
{
        bool scale = streq(ap->sub, "scale");
        const struct status *st;

        if (scale)
                ap->t.schema = builtin_body("autoscaling/v1", "Scale");
        st = check_type(ap, scale ? "autoscaling/v1" : ap->version, scale ? "Scale" : ap->res->kind);
        if (scale) {
                ap->config = parent_config(ap);
                ap->t.schema = ap->res->schema;
        }
        return st;
}

const struct status *apply_patch(struct arena *a, const struct resource *res, const struct json *live,
                                 const struct json *config, const char *manager, bool force,
                                 const char *sub, int64_t now, struct json **ret)
{
        char buf[TIME_BUF];
        struct apply ap = {
                .a = a,
                .res = res,
                .manager = manager,
                .sub = sub ? sub : "",
                .version = resource_group_version(a, res),
                .now = arena_strdup(a, time_format(now, buf)),
                .t = { .a = a, .schema = res->schema, .deduce = res->crd },
                .live = live,
                .config = config,
        };
        bool kubectl = streq(manager, "kubectl") && last_applied(live);
        const struct status *st = prepare(&ap);
        struct json *merged = NULL, *out;

        if (st)
                return st;
        managed_decode(a, json_path(live, "metadata.managedFields"), &ap.managed);
        if (live && ap.managed.n == 0)
                before_first_apply(&ap);
        st = carry_out(&ap, force, &merged);
        if (st && st->code == 409 && kubectl) {
                struct managed there = ap.managed;

                if (own_past(&ap, &there)) {
                        managed_decode(a, json_path(live, "metadata.managedFields"), &ap.managed);
                        st = carry_out(&ap, true, &merged);
                }
        }
        if (st)
                return st;
        out = with_managed(&ap, merged);
        if (kubectl)
                follow_last_applied(&ap, out);
        *ret = out;
        return NULL;
}
