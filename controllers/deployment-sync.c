/* Deployment: finding the ReplicaSet of the current template, making it, numbering revisions, and
 * scaling in proportion.
 */
#include "deployment.h"

#include <math.h>

#define HISTORY_MAX 2000 /* characters of the revision history annotation */

static const char *const not_copied[] = {
        "kubectl.kubernetes.io/last-applied-configuration", REVISION, REVISION_HISTORY, DESIRED_REPLICAS, MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
};

/* --- ReplicaSets --- */

int64_t rs_wanted(const struct rs *rs)
{
        return json_path_int(rs->json, "spec.replicas", 1);
}

int64_t rs_actual(const struct rs *rs)
{
        return json_path_int(rs->json, "status.replicas", 0);
}

int64_t rs_available(const struct rs *rs)
{
        return json_path_int(rs->json, "status.availableReplicas", 0);
}

int64_t rs_revision(const struct rs *rs)
{
        const char *text = object_annotation(rs->json, REVISION);

        return text ? strtoll(text, NULL, 10) : 0;
}

int compare_rs_by_creation(const void *x, const void *y)
{
        const struct rs *const *a = x, *const *b = y;
        int64_t ta = object_time((*a)->json, "metadata.creationTimestamp");
        int64_t tb = object_time((*b)->json, "metadata.creationTimestamp");

        return ta < tb ? -1 : ta > tb ? 1 : strcmp(object_name((*a)->json), object_name((*b)->json));
}

static const struct json *without_hash(struct arena *a, const struct json *template)
{
        struct json *copy = json_clone_shallow(a, template), *meta, *labels;

        if (!json_get(json_path(template, "metadata.labels"), HASH_LABEL))
                return template;
        meta = json_clone_shallow(a, json_get(template, "metadata"));
        labels = json_clone_shallow(a, json_get(meta, "labels"));
        json_del(labels, HASH_LABEL);
        json_set(a, meta, "labels", labels);
        json_set(a, copy, "metadata", meta);
        return copy;
}

bool template_equal(struct arena *a, const struct json *x, const struct json *y)
{
        return json_equal(without_hash(a, x), without_hash(a, y));
}

size_t rollout_old(const struct rollout *r, bool active, struct rs ***ret)
{
        struct rs **list = arena_calloc(r->a, (r->n + 1) * sizeof(*list));
        size_t n = 0;

        for (size_t i = 0; i < r->n; i++)
                if (&r->all[i] != r->new && (!active || rs_wanted(&r->all[i]) > 0))
                        list[n++] = &r->all[i];
        qsort(list, n, sizeof(*list), compare_rs_by_creation);
        *ret = list;
        return n;
}

/* maxSurge and maxUnavailable as numbers: both zero would never get anywhere, so one may be missing. */
static void resolve_fences(struct rollout *r)
{
        const struct json *rolling = json_path(r->d, "spec.strategy.rollingUpdate");

        if (!r->rolling)
                return;
        r->max_surge = int_or_percent(json_get(rolling, "maxSurge"), r->replicas, true, 0);
        r->max_unavailable = int_or_percent(json_get(rolling, "maxUnavailable"), r->replicas, false, 0);
        if (!r->max_surge && !r->max_unavailable)
                r->max_unavailable = 1;
        r->max_unavailable = MIN(r->max_unavailable, r->replicas);
}

void rollout_init(struct rollout *r)
{
        struct claim claim = { .resource = R_REPLICASETS, .owner = r->stored, .api_version = "apps/v1", .kind = "Deployment" };
        struct object_list list = { 0 };
        struct selector sel;

        r->d = object_editable(r->a, r->stored->json);
        r->status = json_ensure_object(r->a, r->d, "status");
        r->replicas = json_path_int(r->d, "spec.replicas", 1);
        r->paused = json_path_bool(r->d, "spec.paused", false);
        r->rolling = !streq(json_path_string(r->d, "spec.strategy.type"), "Recreate");
        resolve_fences(r);
        if (selector_from_object(r->a, json_path(r->d, "spec.selector"), &sel, NULL) < 0)
                sel = (struct selector){ .nothing = true };
        claim.selector = &sel;
        claim_objects(r->s, &claim, r->w, &list);
        list_sort(&list, compare_by_creation);
        r->all = arena_calloc(r->a, (list.n + 1) * sizeof(*r->all)); /* one more for a new one */
        for (size_t i = 0; i < list.n; i++) {
                struct json *copy = object_editable(r->a, list.items[i]->json);

                json_set(r->a, copy, "spec", json_clone_shallow(r->a, json_get(copy, "spec")));
                r->all[r->n++] = (struct rs){ .stored = list.items[i], .json = copy };
        }
}

/* --- annotations and revisions --- */

static bool is_copied(const char *key)
{
        for (size_t i = 0; i < ARRAY_SIZE(not_copied); i++)
                if (streq(key, not_copied[i]))
                        return false;
        return true;
}

static bool set_annotation(struct rollout *r, struct json *rs, const char *key, const char *value)
{
        if (streq(object_annotation(rs, key), value))
                return false;
        object_set_annotation(r->a, rs, key, value);
        return true;
}

static bool set_sizes(struct rollout *r, struct json *rs)
{
        bool changed = set_annotation(r, rs, DESIRED_REPLICAS, arena_printf(r->a, "%lld", (long long)r->replicas));

        changed |= set_annotation(r, rs, MAX_REPLICAS,
                                  arena_printf(r->a, "%lld", (long long)(r->replicas + r->max_surge)));
        return changed;
}

/* A rollback gives an old ReplicaSet a new number; the old numbers stay in a history, within a bound. */
static void keep_old_revision(struct rollout *r, struct json *rs, const char *old)
{
        const char *history = object_annotation(rs, REVISION_HISTORY), *text;

        if (str_empty(history)) {
                object_set_annotation(r->a, rs, REVISION_HISTORY, old);
                return;
        }
        text = arena_printf(r->a, "%s,%s", history, old);
        while (strlen(text) > HISTORY_MAX && strchr(text, ','))
                text = strchr(text, ',') + 1;
        object_set_annotation(r->a, rs, REVISION_HISTORY, text);
}

static bool set_new_annotations(struct rollout *r, struct rs *rs, int64_t revision, bool exists)
{
        const char *old = object_annotation(rs->json, REVISION);
        bool changed = false;

        json_foreach_member(json_path(r->d, "metadata.annotations"), m) {
                if (is_copied(m->key))
                        changed |= set_annotation(r, rs->json, m->key, json_string(m->value));
        }
        if (rs_revision(rs) < revision) {
                old = old ? arena_strdup(r->a, old) : NULL;
                object_set_annotation(r->a, rs->json, REVISION, arena_printf(r->a, "%lld", (long long)revision));
                changed = true;
                if (old)
                        keep_old_revision(r, rs->json, old);
        }
        if (!exists)
                changed |= set_sizes(r, rs->json);
        return changed;
}

/* --- the new one --- */

static struct rs *find_new(struct rollout *r)
{
        for (size_t i = 0; i < r->n; i++) /* sorted: the oldest wins */
                if (template_equal(r->a, json_path(r->all[i].json, "spec.template"), json_path(r->d, "spec.template")))
                        return &r->all[i];
        return NULL;
}

static void note_progress(struct rollout *r, const char *reason, const char *fmt)
{
        const char *message = arena_printf(r->a, "%s \"%s\"", fmt, object_name(r->new->json));

        rollout_set_condition(r, r->status, "Progressing", "True", reason, message);
}

/* The ReplicaSet of the template, as a whole object with no pods wanted yet. */
static struct json *make_new(struct rollout *r)
{
        struct arena *a = r->a;
        const struct json *template = json_path(r->d, "spec.template");
        char *hash = template_hash(a, template, json_get_int(r->status, "collisionCount", 0));
        struct json *rs = json_new_object(a), *meta, *spec, *copy = json_clone(a, template), *selector, *labels;

        labels = json_ensure_object(a, json_ensure_object(a, copy, "metadata"), "labels");
        json_set_string(a, labels, HASH_LABEL, hash);
        selector = json_clone(a, json_path(r->d, "spec.selector"));
        json_set_string(a, json_ensure_object(a, selector, "matchLabels"), HASH_LABEL, hash);
        json_set_string(a, rs, "apiVersion", "apps/v1");
        json_set_string(a, rs, "kind", "ReplicaSet");
        meta = json_ensure_object(a, rs, "metadata");
        json_set(a, meta, "name", json_new_stringf(a, "%s-%s", r->stored->name, hash));
        json_set_string(a, meta, "namespace", r->stored->namespace);
        json_set(a, meta, "labels", json_clone(a, labels));
        json_append(a, json_ensure_array(a, meta, "ownerReferences"),
                    object_make_controller_ref(a, "apps/v1", "Deployment", r->d));
        spec = json_ensure_object(a, rs, "spec");
        json_set_int(a, spec, "replicas", 0);
        set_count(a, spec, "minReadySeconds", json_path_int(r->d, "spec.minReadySeconds", 0));
        json_set(a, spec, "selector", selector);
        json_set(a, spec, "template", copy);
        return rs;
}

/* How many pods the new one starts with: all that the surge leaves room for. */
static int64_t first_size(const struct rollout *r)
{
        int64_t have = 0;

        if (!r->rolling)
                return r->replicas;
        for (size_t i = 0; i < r->n; i++)
                have += rs_wanted(&r->all[i]);
        return MAX(MIN(r->replicas + r->max_surge - have, r->replicas), 0);
}

static void create_new(struct rollout *r, int64_t revision)
{
        struct rs *rs = &r->all[r->n];
        int64_t size = first_size(r);
        const char *name;
        struct write *x;

        *rs = (struct rs){ .json = make_new(r) };
        json_path_set(r->a, rs->json, "spec.replicas", json_new_int(r->a, size));
        set_new_annotations(r, rs, revision, false);
        name = object_name(rs->json);
        x = writes_create(r->w, R_REPLICASETS, r->stored->namespace, rs->json);
        if (size > 0)
                write_event_set(r->w, &x->done, r->d, "Normal", "ScalingReplicaSet",
                                arena_printf(r->a, "Scaled up replica set %s from 0 to %lld", name, (long long)size));
        write_event_set(r->w, &x->failed, r->d, "Warning", "ReplicaSetCreateError",
                        arena_printf(r->a, "Failed to create new replica set \"%s\": {error}", name));
        r->n++;
        r->new = rs;
        object_set_annotation(r->a, r->d, REVISION, arena_printf(r->a, "%lld", (long long)revision));
        if (rollout_has_deadline(r))
                note_progress(r, "NewReplicaSetCreated", "Created new replica set");
}

/* The found one: its annotations, its revision, and ours after it. */
static void refresh_new(struct rollout *r, int64_t revision)
{
        int64_t min_ready = json_path_int(r->d, "spec.minReadySeconds", 0);
        bool changed = set_new_annotations(r, r->new, revision, true);

        if (json_path_int(r->new->json, "spec.minReadySeconds", 0) != min_ready) {
                set_count(r->a, json_get(r->new->json, "spec"), "minReadySeconds", min_ready);
                changed = true;
        }
        if (changed)
                writes_update(r->w, R_REPLICASETS, NULL, r->new->json);
        r->new->changed |= changed;
        object_set_annotation(r->a, r->d, REVISION, object_annotation(r->new->json, REVISION));
        if (rollout_has_deadline(r) && !condition_find(json_get(r->status, "conditions"), "Progressing"))
                note_progress(r, "FoundNewReplicaSet", "Found new replica set");
}

void rollout_find_new(struct rollout *r, bool create)
{
        int64_t revision = 0;

        r->new = find_new(r);
        for (size_t i = 0; i < r->n; i++)
                if (&r->all[i] != r->new)
                        revision = MAX(revision, rs_revision(&r->all[i]));
        revision++;
        if (r->new)
                refresh_new(r, revision);
        else if (create)
                create_new(r, revision);
}

/* --- scaling --- */

bool rollout_is_scaling(const struct rollout *r)
{
        for (size_t i = 0; i < r->n; i++) {
                const char *desired = object_annotation(r->all[i].json, DESIRED_REPLICAS);

                if (rs_wanted(&r->all[i]) > 0 && desired && strtoll(desired, NULL, 10) != r->replicas)
                        return true;
        }
        return false;
}

/* Several changes of one ReplicaSet in a round become one write: the last update is replaced. */
static struct write *update_rs(struct rollout *r, struct rs *rs)
{
        for (size_t i = 0; rs->changed && i < r->w->n; i++) {
                struct write *x = &r->w->items[i];

                if (x->verb == WRITE_UPDATE && x->resource == R_REPLICASETS && streq(x->name, object_name(rs->json))) {
                        x->body = json_clone(r->a, rs->json);
                        return x;
                }
        }
        rs->changed = true;
        return writes_update(r->w, R_REPLICASETS, NULL, rs->json);
}

bool rollout_scale(struct rollout *r, struct rs *rs, int64_t to)
{
        int64_t from = rs_wanted(rs);
        bool sizes = set_sizes(r, rs->json);
        struct write *x;

        if (!rs->stored) { /* about to be made, with its size */
                return false;
        }
        if (from == to && !sizes)
                return false;
        json_path_set(r->a, rs->json, "spec.replicas", json_new_int(r->a, to));
        x = update_rs(r, rs);
        if (from != to)
                write_event_set(r->w, &x->done, r->d, "Normal", "ScalingReplicaSet",
                                arena_printf(r->a, "Scaled %s replica set %s from %lld to %lld", from < to ? "up" : "down",
                                             object_name(rs->json), (long long)from, (long long)to));
        return from != to;
}

/* Largest first; among equals the newest when growing, the oldest when shrinking. */
static int by_size_newer(const void *x, const void *y)
{
        struct rs *const *a = x, *const *b = y;
        int64_t sa = rs_wanted(*a), sb = rs_wanted(*b);

        return sa != sb ? (sa > sb ? -1 : 1) : -compare_rs_by_creation(x, y);
}

static int by_size_older(const void *x, const void *y)
{
        struct rs *const *a = x, *const *b = y;
        int64_t sa = rs_wanted(*a), sb = rs_wanted(*b);

        return sa != sb ? (sa > sb ? -1 : 1) : compare_rs_by_creation(x, y);
}

/* What this one grows or shrinks by, were all to keep their share. */
static int64_t share(const struct rollout *r, const struct rs *rs)
{
        const char *text = object_annotation(rs->json, MAX_REPLICAS);
        int64_t before = text ? strtoll(text, NULL, 10) : 0, size = rs_wanted(rs);

        if (!r->replicas)
                return -size;
        if (!before)
                before = json_get_int(r->status, "replicas", 0);
        if (!before)
                return 0;
        return (int64_t)round((double)(size * (r->replicas + r->max_surge)) / (double)before) - size;
}

static void scale_in_proportion(struct rollout *r)
{
        struct rs **list = arena_calloc(r->a, (r->n + 1) * sizeof(*list));
        int64_t *sizes = arena_calloc(r->a, (r->n + 1) * sizeof(*sizes));
        int64_t total = 0, add, added = 0;
        size_t n = 0;

        for (size_t i = 0; i < r->n; i++)
                if (rs_wanted(&r->all[i]) > 0) {
                        list[n++] = &r->all[i];
                        total += rs_wanted(&r->all[i]);
                }
        add = (r->replicas > 0 ? r->replicas + r->max_surge : 0) - total;
        if (add)
                qsort(list, n, sizeof(*list), add > 0 ? by_size_newer : by_size_older);
        for (size_t i = 0; i < n; i++) {
                int64_t left = add - added, part = left ? share(r, list[i]) : 0;

                part = add > 0 ? MIN(part, left) : MAX(part, left);
                sizes[i] = rs_wanted(list[i]) + part;
                added += part;
        }
        if (n && add)
                sizes[0] = MAX(sizes[0] + add - added, 0); /* what rounding left over */
        for (size_t i = 0; i < n; i++)
                rollout_scale(r, list[i], sizes[i]);
}

/* The only one that wants pods; where none does, the newest; NULL where several do. */
static struct rs *active_or_latest(const struct rollout *r)
{
        struct rs **old, *active = NULL;
        size_t n = rollout_old(r, false, &old), n_active = 0;

        for (size_t i = 0; i < r->n; i++)
                if (rs_wanted(&r->all[i]) > 0) {
                        active = &r->all[i];
                        n_active++;
                }
        if (n_active)
                return n_active == 1 ? active : NULL;
        return r->new ? r->new : n ? old[n - 1] : NULL;
}

static bool is_saturated(const struct rollout *r)
{
        const char *desired = r->new ? object_annotation(r->new->json, DESIRED_REPLICAS) : NULL;

        return desired && strtoll(desired, NULL, 10) == r->replicas && rs_wanted(r->new) == r->replicas &&
               rs_available(r->new) == r->replicas;
}

void rollout_scale_all(struct rollout *r)
{
        struct rs *only = active_or_latest(r), **old;
        size_t n;

        if (only) {
                if (rs_wanted(only) != r->replicas)
                        rollout_scale(r, only, r->replicas);
                return;
        }
        if (is_saturated(r)) {
                n = rollout_old(r, true, &old);
                for (size_t i = 0; i < n; i++)
                        rollout_scale(r, old[i], 0);
                return;
        }
        if (r->rolling)
                scale_in_proportion(r);
}

/* --- history --- */

static int by_revision(const void *x, const void *y)
{
        struct rs *const *a = x, *const *b = y;
        int64_t ra = rs_revision(*a), rb = rs_revision(*b);

        return ra != rb ? (ra < rb ? -1 : 1) : compare_rs_by_creation(x, y);
}

void rollout_clean_up(struct rollout *r)
{
        int64_t limit = json_path_int(r->d, "spec.revisionHistoryLimit", INT32_MAX), surplus;
        struct rs **old;
        size_t n = rollout_old(r, false, &old), alive = 0;

        for (size_t i = 0; i < n; i++)
                if (!object_is_deleting(old[i]->json))
                        old[alive++] = old[i];
        surplus = (int64_t)alive - limit;
        if (limit == INT32_MAX || surplus <= 0)
                return;
        qsort(old, alive, sizeof(*old), by_revision);
        for (int64_t i = 0; i < surplus; i++) {
                struct rs *rs = old[i];

                if (rs_actual(rs) || rs_wanted(rs) ||
                    json_path_int(rs->json, "metadata.generation", 0) >
                            json_path_int(rs->json, "status.observedGeneration", 0))
                        continue;
                writes_delete(r->w, R_REPLICASETS, rs->stored, -1, NULL);
        }
}
