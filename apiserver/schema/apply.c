/* Server-side apply: what a manager applies is what it owns.
 *
 *      merged  = live with the configuration laid over it
 *      pruned  = merged without what the manager applied last time, no longer does, and nobody else owns
 *      changed = live compared with pruned: others who own something of it are in conflict,
 *                or lose it when forced
 *
 * Entries written at another version are compared, and what they lose is pruned, with the object as that version has it.
 */
#include "apply.h"

#include "managed-scale.h"

#include "../../lib/base/time.h"

#include <stdlib.h>

#define MAX_ANNOTATIONS (256 << 10)
#define SCALE_VERSION "autoscaling/v1"
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

/* An object on its way through the versions that managers wrote at. */
struct pruning {
        struct apply *ap;
        struct typed t;                /* of RES */
        const struct resource *res;    /* what MERGED and PRUNED are of */
        struct json *merged, *pruned;
};

static void pruning_to(struct pruning *p, const struct resource *to)
{
        p->merged = managed_convert(p->ap->a, p->res, to, p->merged);
        p->pruned = managed_convert(p->ap->a, p->res, to, p->pruned);
        p->res = to;
        p->t.schema = to->schema;
}

static struct field_set *members_of(struct pruning *p, const struct json *obj)
{
        return typed_named_members(&p->t, typed_field_set(&p->t, obj));
}

/* Back comes what entries of VERSION own (MORE besides), with what it stands in. */
static void put_back(struct pruning *p, const char *version, const struct field_set *more)
{
        const struct managed *m = &p->ap->managed;
        struct arena *a = p->ap->a;
        const struct field_set *owned = more ? more : field_set_new(a), *stay;

        for (size_t i = 0; i < m->n; i++)
                if (streq(m->list[i].version, version))
                        owned = field_set_union(a, owned, m->list[i].set);
        stay = field_set_union(a, members_of(p, p->pruned), typed_named_members(&p->t, owned));
        p->pruned = typed_remove(&p->t, p->merged, field_set_difference(a, members_of(p, p->merged), stay));
}

static struct json *prune(struct apply *ap, struct json *merged, const struct managed_entry *last, const struct field_set *set)
{
        const char *why, *version = last->version;
        const struct resource *at = managed_version(ap->a, ap->res, version, &why), *other;
        struct pruning p = { .ap = ap, .t = ap->t, .res = ap->res, .merged = merged, .pruned = merged };
        const struct field_set *members, *gone;
        struct json *before;

        if (!at)
                return merged;
        pruning_to(&p, at);
        before = p.merged;
        members = typed_named_members(&p.t, last->set);
        p.pruned = typed_remove(&p.t, p.merged, members);
        put_back(&p, version, streq(version, ap->version) ? set : NULL);
        if (!streq(version, ap->version)) {
                pruning_to(&p, ap->res);
                put_back(&p, ap->version, set);
        }
        for (size_t i = 0; i < ap->managed.n; i++) {
                const char *v = ap->managed.list[i].version;

                if (streq(v, version) || streq(v, ap->version) || !(other = managed_version(ap->a, ap->res, v, &why)))
                        continue;
                pruning_to(&p, other);
                put_back(&p, v, NULL);
        }
        /* What went only because of that, but was never applied, stays. */
        pruning_to(&p, at);
        gone = field_set_difference(ap->a, members_of(&p, before), members_of(&p, p.pruned));
        p.merged = typed_remove(&p.t, before, field_set_intersection(ap->a, gone, members));
        pruning_to(&p, ap->res);
        return p.merged;
}

/* --- the parts of an apply --- */

/* Whether it is a list of entries at all; else it is just of the wrong type. */
static bool says_entries(const struct json *fields)
{
        json_foreach_item(fields, e)
                if (!json_is_object(e))
                        return false;
        return json_is_array(fields);
}

static const struct status *check_type(struct apply *ap, const char *version, const char *kind)
{
        const char *v = json_get_string(ap->config, "apiVersion") ?: "", *k = json_get_string(ap->config, "kind") ?: "";
        const char *fields;

        if (!streq(v, version) || !streq(k, kind))
                return status_bad_request(ap->a, "invalid object type: %s%s, Kind=%s", strchr(v, '/') ? "" : "/", v, k);
        if (says_entries(json_path(ap->config, "metadata.managedFields")))
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

static const char *last_applied(const struct json *obj)
{
        return json_get_string(json_path(obj, "metadata.annotations"), LAST_APPLIED);
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

/* What kubectl may change although others own it, from its time as a client-side applier: what its annotation says and
 * the live object has. NULL: nothing. */
static const struct field_set *own_past(struct apply *ap)
{
        const char *text = streq(ap->manager, "kubectl") ? last_applied(ap->live) : NULL;
        const struct field_set *known;
        struct comparison cmp;
        struct json *then = NULL;

        if (str_empty(text) || json_parse(ap->a, text, strlen(text), NULL, &then, NULL) != 0 || !json_is_object(then) ||
            !streq(json_get_string(then, "apiVersion"), ap->version) || str_empty(json_get_string(then, "kind")) ||
            typed_validate(&ap->t, then) || typed_validate(&ap->t, ap->live))
                return NULL;
        typed_compare(&ap->t, then, ap->live, &cmp);
        known = field_set_difference(ap->a, typed_field_set(&ap->t, then), cmp.modified);
        return field_set_difference(ap->a, field_set_difference(ap->a, known, cmp.added), cmp.removed);
}

/* Everybody but the manager loses what is about to change, unless that is a conflict. */
static const struct status *reconcile(struct apply *ap, const struct json *live, bool force)
{
        struct managed_views views = { .a = ap->a, .res = ap->res, .sub = ap->sub, .live = live, .obj = ap->merged };
        struct conflicts c = { .a = ap->a };
        const struct status *st = NULL;
        const struct field_set *mine = force ? NULL : own_past(ap), *changed;
        struct comparison cmp;

        for (size_t i = 0; i < ap->managed.n && !force; i++) {
                c.entry = &ap->managed.list[i];
                managed_compare(&views, c.entry->version, &cmp);
                changed = field_set_intersection(ap->a, c.entry->set, field_set_union(ap->a, cmp.modified, cmp.added));
                field_set_walk(ap->a, mine ? field_set_difference(ap->a, changed, mine) : changed, add_conflict, &c);
        }
        if (c.n)
                st = conflict_status(ap->a, &c);
        free(c.list);
        for (size_t i = 0; i < ap->managed.n && !st; i++) {
                struct managed_entry *e = &ap->managed.list[i];
                struct field_set *left;

                managed_compare(&views, e->version, &cmp);
                left = field_set_difference(ap->a, e->set, field_set_union(ap->a, cmp.modified, cmp.added));
                left = field_set_difference(ap->a, left, cmp.removed);
                if (!field_set_equal(left, e->set))
                        e->json = NULL;
                e->set = left;
        }
        free(views.list);
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
                        ap->merged = prune(ap, ap->merged, &last, set);
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
                        .set = set, .time = same ? last.time : ap->now,
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

/* kubectl applied on the server what it used to apply itself: its annotation follows. */
static void follow_last_applied(struct apply *ap, struct json *obj)
{
        struct json *config = json_clone(ap->a, ap->config), *annotations, *copy = json_new_object(ap->a);
        const char *text;
        size_t size = 0;

        json_del(json_path(config, "metadata.annotations"), LAST_APPLIED);
        text = arena_printf(ap->a, "%s\n", json_print(ap->a, sorted(ap->a, config)));
        annotations = json_path(obj, "metadata.annotations");
        json_foreach_member(annotations, m)
                json_setn(ap->a, copy, m->key, m->key_len, m->value);
        json_set_string(ap->a, copy, LAST_APPLIED, text);
        json_foreach_member(copy, m)
                size += m->key_len + m->value->len;
        if (size > MAX_ANNOTATIONS)
                json_del(copy, LAST_APPLIED);
        json_set(ap->a, json_get(obj, "metadata"), "annotations", copy);
}

/* --- scale: a Scale is applied, its number is what can be in conflict --- */

static struct json *live_scale(struct arena *a, const struct json *parent, int64_t replicas)
{
        static const char *const copied[] = { "name", "namespace", "uid", "resourceVersion", "creationTimestamp" };
        struct json *scale = json_new_object(a), *meta = json_ensure_object(a, scale, "metadata");

        for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
                if (json_get(json_get(parent, "metadata"), copied[i]))
                        json_set(a, meta, copied[i], json_get(json_get(parent, "metadata"), copied[i]));
        json_ensure_object(a, scale, "spec");
        if (replicas)
                json_set_int(a, json_get(scale, "spec"), "replicas", replicas);
        return scale;
}

/* MINE: the applier's entry, which is no hindrance. */
static const struct status *scale_conflict(struct apply *ap, const struct managed *entries, const struct managed_entry *mine)
{
        struct conflicts c = { .a = ap->a };
        const struct status *st = NULL;

        for (size_t i = 0; i < entries->n; i++) {
                c.entry = &entries->list[i];
                if (c.entry != mine)
                        field_set_walk(ap->a, c.entry->set, add_conflict, &c);
        }
        if (c.n)
                st = conflict_status(ap->a, &c);
        free(c.list);
        return st;
}

/* Upstream's converter of custom resources takes no Scale that it did not make itself: what an apply changes, it refuses. */
static const struct status *unscalable(struct apply *ap, const char *what, const char *namespace, const char *name)
{
        return status_make(ap->a, 500, "", NULL, "%s (%s/%s; autoscaling/v1, Kind=Scale) to proper version: request to convert CR to an "
                           "invalid group/version: autoscaling/v1", what, namespace ?: "", name ?: "");
}

static const struct status *apply_scale(struct apply *ap, bool force, struct json **ret)
{
        struct managed_scale s;
        const struct json *says, *have;
        struct managed_entry *mine;
        const struct status *st;
        struct json *live, *out, *spec, *fields;
        bool differs;

        ap->t.schema = builtin_body(SCALE_VERSION, "Scale");
        st = check_type(ap, SCALE_VERSION, "Scale");
        if (st)
                return st;
        managed_scale_open(ap->a, ap->res, ap->live, &s);
        live = live_scale(ap->a, ap->live, s.replicas);
        says = json_path(ap->config, "spec.replicas");
        have = json_path(live, "spec.replicas");
        if (s.entries.n == 0 && ap->res->crd)
                return unscalable(ap, "failed to create manager for existing fields: failed to convert live object", "", "");
        if (s.entries.n == 0 && have)
                managed_scale_own(&s, "before-first-apply", false);
        out = json_clone(ap->a, typed_merge(&ap->t, live, ap->config));
        mine = managed_find(&s.entries, ap->manager, true, NULL, ap->sub);
        spec = json_ensure_object(ap->a, out, "spec");
        if (!says && mine && s.entries.n == 1)
                json_del(spec, "replicas");
        differs = says ? !json_equal(have, says) : have && !json_get(spec, "replicas");
        st = says && differs && !force ? scale_conflict(ap, &s.entries, mine) : NULL;
        if (st)
                return st;
        if (ap->res->crd && (!json_equal(json_get(live, "metadata"), json_get(out, "metadata")) ||
                             !json_equal(json_get(live, "spec"), json_get(out, "spec"))))
                return unscalable(ap, "failed to convert new object", json_path_string(ap->config, "metadata.namespace"),
                                  json_path_string(ap->config, "metadata.name"));
        if (differs)
                s.entries.n = 0;
        else if (mine && !says)
                managed_remove(&s.entries, mine);
        if (says)
                managed_scale_own(&s, ap->manager, true);
        fields = managed_scale_close(&s);
        if (fields)
                json_set(ap->a, json_get(out, "metadata"), "managedFields", fields);
        *ret = out;
        return NULL;
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
        struct json *merged = NULL, *out;
        const struct status *st;
        const char *why;

        if (streq(ap.sub, "scale"))
                return apply_scale(&ap, force, ret);
        st = check_type(&ap, ap.version, res->kind);
        if (st)
                return st;
        managed_decode(a, json_path(live, "metadata.managedFields"), &ap.managed);
        if (live && ap.managed.n == 0)
                before_first_apply(&ap);
        why = managed_settle(&ap.managed, res, ap.version);
        if (why)
                return status_make(a, 500, "", NULL, "%s", why);
        st = carry_out(&ap, force, &merged);
        if (st)
                return st;
        out = with_managed(&ap, merged);
        if (streq(manager, "kubectl") && !str_empty(last_applied(out)))
                follow_last_applied(&ap, out);
        *ret = out;
        return NULL;
}
